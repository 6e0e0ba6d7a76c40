"""`manage.py celery schedule`: the entries with their times; run, pause, resume and skip them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from celery import Celery

from celeriac import discovery
from celeriac.cli import arguments, output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError, UnknownSchedule
from celeriac.schedule import orders, overview
from celeriac.schedule.overview import Line
from celeriac.schedule.scheduler import alias_of
from celeriac.worker import scheduling

_ORDERS: dict[str, Callable[[Celery, list[str]], Any]] = {
    "pause": orders.pause,
    "resume": orders.resume,
    "skip": orders.skip,
}
#: The states of what our schedulers would fire, and the one that it has where the settings name another.
_CARRIED, _LEFT = frozenset({"on", "paused", "skips next"}), "left to CELERY_BEAT_SCHEDULER"
_ACTIONS = ("list", "run", *_ORDERS)


def _work(app: Celery, options: Namespace) -> int:
    _discover()
    if options.action != "list" and not options.names:
        raise UnknownSchedule(
            f"schedule {options.action}: of which entry? See them: manage.py celery schedule"
        )
    if options.action == "run":
        return _run(app, options)
    if options.action != "list":
        _ORDERS[options.action](app, options.names)
    return _list(app, options)


def _discover() -> None:
    """Where a project's files of tasks add entries of their own, they are to be seen."""
    try:
        discovery.discover()
    except CeleriacError as error:
        output.error(str(error))


def _run(app: Celery, options: Namespace) -> int:
    entries = orders.usable(app, options.names)
    for entry in entries:
        arguments.warn_of_unknown(app, entry.task)
    tasks = [{"name": entry.name, "task_id": orders.run(app, entry).id} for entry in entries]
    if options.json:
        output.document(tasks)
    else:
        output.table(("name", "task"), [(each["name"], each["task_id"]) for each in tasks])
    return 0


def _list(app: Celery, options: Namespace) -> int:
    """1 where an entry cannot be scheduled."""
    found = _lines(app)
    if options.names:
        known = [line.name for line in found]
        orders.check(options.names, known)
        found = [line for line in found if line.name in options.names]
    if options.json:
        output.document([asdict(line) for line in found])
    else:
        header = ("name", "state", "next due", "last run", "schedule", "task", "source")
        output.table(header, [_row(line) for line in found])
        for line in found:
            if line.fault is not None:
                output.error(f"{line.name}: {line.fault}")
    return int(any(line.fault is not None for line in found))


def _lines(app: Celery) -> list[Line]:
    found = overview.lines(app, alias_of(app))
    if scheduling.named_elsewhere(app) is None:
        return found
    # Our schedulers carry none of them.
    return [replace(line, state=_LEFT, next_due=None) if line.state in _CARRIED else line for line in found]


def _row(line: Line) -> tuple[str, ...]:
    zone = "" if line.time_zone in {None, "UTC"} else f" ({line.time_zone})"
    schedule = f"{line.schedule}{zone if (line.schedule or '').startswith('cron') else ''}"
    return (
        line.name,
        line.state,
        _short(line.next_due),
        _short(line.last_run),
        schedule if line.schedule else "-",
        line.task,
        line.source,
    )


def _short(time: datetime | None) -> str:
    return "-" if time is None else time.isoformat(" ", "seconds")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help="list without any")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of entries")


COMMAND = Command(
    "schedule",
    "Lists the entries of CELERY_BEAT_SCHEDULE and of the table Schedule, each with its next due time,\n"
    "its last run and its state. `run` publishes the task of an entry now, `pause` lets it fire nothing\n"
    "until `resume`, and `skip` leaves its next due time out.\n"
    "Exit code 1: an entry cannot be scheduled.",
    "schedule pause report",
    _work,
    _arguments,
)
