"""`manage.py celery discovered`: each `tasks.py` with the names of its tasks, or why it was left out."""

import json
from collections.abc import Sequence
from typing import Any

from celery import Celery

from celeriac import discovery
from celeriac.cli import output
from celeriac.errors import CeleriacError, TaskFileError

HELP = """\
manage.py celery discovered [--json]

Lists every tasks.py of the project: its module and its tasks, the reason why it was left out, or why it
cannot be imported; the last with exit code 2.

Example: python manage.py celery discovered --json
"""


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Print the list; 0. Raises CeleriacError where a file cannot be imported, when all are listed."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP)
        return 0
    if unknown := [argument for argument in arguments if argument != "--json"]:
        raise CeleriacError(f"discovered has no option {unknown[0]!r}. Its only one is --json.")
    found = [_found(each, app) for each in discovery.scan()]
    if "--json" in arguments:
        output.line(json.dumps(found, indent=2))
    else:
        output.table(("file", "module", "tasks"), [_row(each) for each in found])
    if faults := [each["error"] for each in found if each["error"]]:
        raise TaskFileError("; ".join(faults))
    return 0


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
