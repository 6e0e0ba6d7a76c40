"""`manage.py celery discovered`: each `tasks.py` with the names of its tasks, or why it was left out."""

import json
from collections.abc import Sequence
from typing import Any

from celery import Celery

from celeriac import discovery
from celeriac.cli import output
from celeriac.errors import CeleriacError

HELP = """\
manage.py celery discovered [--json]

Lists every tasks.py of the project: its module and its tasks, or the reason why it was left out.

Example: python manage.py celery discovered --json
"""


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Print the list; 0. Raises CeleriacError for a file that cannot be imported."""
    if {"-h", "--help"} & set(arguments):
        output.line(HELP)
        return 0
    if unknown := [argument for argument in arguments if argument != "--json"]:
        raise CeleriacError(f"discovered has no option {unknown[0]!r}. Its only one is --json.")
    files = discovery.discover()
    found: list[dict[str, Any]] = [
        {
            "file": str(each.path),
            "module": each.module,
            "tasks": [] if each.reason else sorted(discovery.names_of(each, app)),
            "left_out": each.reason,
        }
        for each in files
    ]
    if "--json" in arguments:
        output.line(json.dumps(found, indent=2))
        return 0
    rows = [
        (row["file"], row["module"] or "-", row["left_out"] or ", ".join(row["tasks"]) or "no task")
        for row in found
    ]
    output.table(("file", "module", "tasks"), rows)
    return 0
