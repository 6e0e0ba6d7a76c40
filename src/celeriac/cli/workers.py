"""`manage.py celery workers`: who lives, since when, for which queues, and what each one runs now."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from celery import Celery

from celeriac.cli import cells, output
from celeriac.cli.command import Command
from celeriac.selectors import workers
from celeriac.selectors.workers import WorkerState

_HEADER = ("worker", "state", "heartbeat", "pool", "busy", "queues", "started", "host", "pid", "runs")
_NOBODY = 69
_MOST_SHOWN = 3


def _work(app: Celery, options: Namespace) -> int:
    """0: a worker lives; 69: none does."""
    found = [each for each in workers.workers(app) if each.pool and (options.all or each.is_alive)]
    if options.json:
        output.document({"workers": [_document(each) for each in found]})
    else:
        output.table(_HEADER, [_row(each) for each in found])
    if any(each.is_alive for each in found):
        return 0
    output.error("No worker lives. Start one: python manage.py celery start")
    return _NOBODY


def _document(state: WorkerState) -> dict[str, object]:
    return {**asdict(state), "busy": len(state.running)}


def _row(state: WorkerState) -> tuple[str, ...]:
    return (
        state.node,
        "alive" if state.is_alive else "lost",
        cells.span(state.heartbeat_age_seconds),
        state.pool,
        f"{len(state.running)}/{state.concurrency}",
        ",".join(state.queues),
        cells.since(state.started_at),
        state.host,
        str(state.pid),
        _running(state),
    )


def _running(state: WorkerState) -> str:
    most = _MOST_SHOWN if output.is_for_people() else len(state.running)
    shown = [
        f"{task.task_name}[{cells.task_id(task.task_id)}] {cells.span(task.seconds)}"
        for task in state.running[:most]
    ]
    return ", ".join([*shown, *(["…"] if len(state.running) > most else [])]) or cells.NOTHING


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="those that were lost within a day, too")


COMMAND = Command(
    "workers",
    "Lists the workers that live, with what each one runs now: from the database, at once, also when they\n"
    "are too busy to answer `inspect`. Exit code 69 where none lives.",
    "workers --all",
    _work,
    _arguments,
)
