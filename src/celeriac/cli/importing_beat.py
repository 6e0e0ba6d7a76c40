"""`manage.py celery import-beat`: the entries of django-celery-beat become rows of our table."""

from argparse import ArgumentParser, Namespace
from typing import Any

from celery import Celery

from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.schedule import importing, table
from celeriac.schedule.importing import Found
from celeriac.worker import scheduling


def _work(app: Celery, options: Namespace) -> int:
    """1 where an entry cannot be taken over, or nothing was confirmed."""
    found = importing.found(options.database or table.alias())
    new = sum(each.verdict == "new" for each in found)
    if not options.json:
        output.table(("name", "task", "schedule", "verdict"), [_row(each) for each in found])
    is_confirmed = bool(new) and output.is_confirmed(_question(new, found), is_given=options.yes)
    taken = importing.take(found) if is_confirmed else 0
    if options.json:
        output.document({"taken": taken, "entries": [_as_json(each) for each in found]})
    else:
        output.error(_summary(app, taken, new))
    return int(taken < new or any(each.verdict == "faulty" for each in found))


def _question(new: int, found: list[Found]) -> str:
    return f"Take over {new} of {len(found)} entries of django-celery-beat?"


def _summary(app: Celery, taken: int, new: int) -> str:
    if not new:
        return "There is nothing new to take over."
    if not taken:
        return "Nothing was taken over."
    text = f"Taken over: {taken}. Their own tables are left as they are."
    if (named := scheduling.named_elsewhere(app)) is not None:
        return f"{text} Now take CELERY_BEAT_SCHEDULER = {named!r} out of the settings, and start no beat."
    return f"{text} Now start no beat: workers of `celery start` carry the schedule."


def _row(found: Found) -> tuple[str, ...]:
    fault = "" if found.fault is None else f": {found.fault}"
    return found.row.name, found.row.task, _when(found), f"{found.verdict}{fault}"


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "name": found.row.name,
        "task": found.row.task,
        "schedule": _when(found),
        "verdict": found.verdict,
        "fault": found.fault,
    }


def _when(found: Found) -> str:
    row = found.row
    return str(row.cron or row.every or row.solar or row.at or "-")


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without a question")
    parser.add_argument("--database", metavar="ALIAS", help="where its tables are; default: where ours is")


COMMAND = Command(
    "import-beat",
    "Takes over the periodic tasks of django-celery-beat from its tables; the package is not needed.\n"
    "Shows first what would become of each: new, there (as we have one of that name), or faulty.\n"
    "Exit code 1: an entry is faulty, or nothing was confirmed.",
    "import-beat --yes",
    _work,
    _arguments,
)
