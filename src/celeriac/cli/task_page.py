"""`manage.py celery tasks show ID`: all that is known of one task, with its runs that did not succeed."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from celery import Celery
from django.utils import timezone

from celeriac.cli import cells, output
from celeriac.cli.command import Command
from celeriac.models import Attempt
from celeriac.selectors import readable, results, tasks
from celeriac.selectors.tasks import TaskState

_OF_ATTEMPT = (
    "number",
    "outcome",
    "worker",
    "started_at",
    "ended_at",
    "exception",
    "message",
    "traceback",
    "fingerprint",
)
_LINKS = {"parent_id": "parent", "root_id": "root", "group_id": "group", "origin_id": "sent again from"}


def _work(_: Celery, options: Namespace) -> int:
    """1 where no task's id begins so."""
    state = tasks.one(options.id)
    if state is None:
        output.error(f"No task's id begins with {options.id!r}.")
        return 1
    attempts = tasks.attempts_of(state.task_id)
    result = results.text_of(state.task_id)
    if options.json:
        output.document(
            {**asdict(state), "result": result, "attempts_failed": [_document(each) for each in attempts]}
        )
        return 0
    for text in [*_lines(state, result), *(text for each in attempts for text in _attempt(each))]:
        output.foreign(text)
    return 0


def _document(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in _OF_ATTEMPT}


def _lines(state: TaskState, result: str | None) -> Iterator[str]:
    yield f"{state.task_name}  {state.task_id}"
    told: dict[str, str | None] = {
        "state": state.state or "none is stored",
        "queue": state.queue + ("" if state.priority is None else f", priority {state.priority}"),
        "arguments": state.args,
        "by name": state.kwargs if state.kwargs != "{}" else None,
        "published": _moment(state.published_at),
        "sent again": _moment(state.sent_again_at),
        "not before": _moment(state.eta),
        "expires": _moment(state.expires),
        "began": _with(_moment(state.started_at), "waited", state.waited_seconds),
        "ended": _with(_moment(state.finished_at), "ran", state.ran_seconds),
        "runs": str(state.attempts),
        "worker": state.worker,
        "result": result,
        **{name: _link(state, key) for key, name in _LINKS.items()},
    }
    for name, value in told.items():
        if value:
            yield f"  {name:<16}{value}"


def _link(state: TaskState, key: str) -> str | None:
    value: str | None = getattr(state, key)
    return None if value == state.task_id else value


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return (
        f"{local:%Y-%m-%d %H:%M:%S} ({cells.since(moment)})" if output.is_for_people() else moment.isoformat()
    )


def _with(moment: str | None, verb: str, seconds: float | None) -> str | None:
    """A task that was revoked while it waited has an end, and has not run."""
    if moment is None or seconds is None:
        return moment
    return f"{moment}, {verb} {readable.in_words(seconds)}"


def _attempt(attempt: Attempt) -> Iterator[str]:
    where = attempt.worker or "no worker"
    yield ""
    yield f"run {attempt.number}: {attempt.outcome} on {where}, {_moment(attempt.ended_at)}"
    error = attempt.traceback or f"{attempt.exception}: {attempt.message}"
    yield from (f"  {text}" for text in error.splitlines())


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="a task's id, or as much of its beginning as no other one has")


COMMAND = Command(
    "tasks show",
    "Shows all that is known of a task, and each of its runs that did not succeed, with its traceback.\n"
    "Exit code 1 where there is no such task.",
    "tasks show 8f3a",
    _work,
    _arguments,
)
