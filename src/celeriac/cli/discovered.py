"""`manage.py celery discovered`: each `tasks.py` with the names of its tasks, or why it was left out."""

from argparse import Namespace
from typing import Any

from celery import Celery

from celeriac import discovery
from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.errors import TaskFileError


def _work(app: Celery, options: Namespace) -> int:
    """Raises TaskFileError where a file cannot be imported, when all are listed."""
    found = [_found(each, app) for each in discovery.scan()]
    if options.json:
        output.document(found)
    else:
        output.table(("file", "module", "tasks"), [_row(each) for each in found])
    if faults := [each["error"] for each in found if each["error"]]:
        raise TaskFileError("; ".join(faults))
    return 0


COMMAND = Command(
    "discovered",
    "Lists every tasks.py of the project: its module and its tasks, the reason why it was left out, or why\n"
    "it cannot be imported; the last with exit code 2.",
    "discovered --json",
    _work,
)


def _found(file: discovery.TaskFile, app: Celery) -> dict[str, Any]:
    error = None if file.reason else discovery.fault_of(file)
    return {
        "file": str(file.path),
        "module": file.module,
        "tasks": [] if file.reason or error else sorted(discovery.names_of(file, app)),
        "left_out": file.reason,
        "error": error,
    }


def _row(found: dict[str, Any]) -> tuple[str, str, str]:
    tasks = found["left_out"] or found["error"] or ", ".join(found["tasks"]) or "no task"
    return found["file"], found["module"] or "-", tasks
