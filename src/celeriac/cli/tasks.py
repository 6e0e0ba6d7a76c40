"""`manage.py celery tasks`: the tasks that a query finds, all that is known of one, and their types."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from celery import Celery
from django.db.models import QuerySet

from celeriac.cli import asking, cells, output, task_page
from celeriac.cli.command import Command
from celeriac.cli.group import Group
from celeriac.selectors import tasks
from celeriac.selectors.tasks import TaskState

_HEADER = ("id", "type", "state", "queue", "waited", "ran", "runs", "worker", "published", "error")
_LIMIT = 50
#: Counted so far.
_MOST_COUNTED = 10_000


def _work(app: Celery, options: Namespace) -> int:
    found = tasks.find(app, asking.query_of(options, *options.words))
    listed, total = tasks.listed(found, options.limit), _total(found)
    if options.json:
        output.document({"tasks": [asdict(each) for each in listed], "total": total})
        return 0
    output.table(_HEADER, [_row(each) for each in listed])
    if output.is_for_people():
        output.line(_footer(len(listed), total))
    return 0


def _total(found: QuerySet[Any]) -> int | None:
    counted = found[: _MOST_COUNTED + 1].count()
    return counted if counted <= _MOST_COUNTED else None


def _footer(shown: int, total: int | None) -> str:
    if total == 0:
        return "No task is found."
    of_all = f"more than {_MOST_COUNTED:,}" if total is None else f"{total:,}"
    return f"{shown:,} of {of_all}"


def _row(state: TaskState) -> tuple[str, ...]:
    return (
        cells.task_id(state.task_id),
        cells.text(state.task_name),
        cells.text(state.state),
        cells.text(state.queue),
        cells.span(state.waited_seconds),
        cells.span(state.ran_seconds),
        str(state.attempts),
        cells.text(state.worker),
        cells.since(state.published_at),
        cells.text(state.error),
    )


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="QUERY", help="words of a query, as state:failed since:2h"
    )
    asking.add_query(parser, "those")
    asking.add_short(parser)
    asking.add_limit(parser, _LIMIT)


def _types(app: Celery, options: Namespace) -> int:
    found = tasks.types(app, asking.query_of(options, *options.words))
    if options.json:
        output.document({"types": [asdict(each) for each in found]})
        return 0
    rows = [
        (
            each.task_name,
            cells.number(each.tasks),
            cells.number(each.failed),
            cells.since(each.last_published_at),
        )
        for each in found
    ]
    output.table(("type", "tasks", "failed", "last published"), rows)
    return 0


def _types_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="QUERY", help="words of a query, as since:1d")
    asking.add_short(parser)


COMMAND = Group(
    Command(
        "tasks",
        "Lists the tasks that a query finds, the latest first. Without one these are all.",
        "tasks state:failed since:2h",
        _work,
        _arguments,
    ),
    {
        "show": (task_page.COMMAND, "all that is known of one task, with its runs that failed"),
        "types": (
            Command(
                "tasks types",
                "Counts the tasks of each type that a query finds, and those of them that failed.",
                "tasks types since:1d",
                _types,
                _types_arguments,
            ),
            "how many tasks of each type there are",
        ),
    },
)
