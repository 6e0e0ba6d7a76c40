"""`manage.py celery doctor`: what will make tasks fail, wait or vanish; each with why, and how to mend it."""

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from typing import Any

import celery
import django
from celery import Celery

from celeriac import __version__
from celeriac.cli import output
from celeriac.cli.cells import counted
from celeriac.cli.command import Command
from celeriac.doctor import runner
from celeriac.doctor.finding import Finding
from celeriac.doctor.patient import Patient


def _work(app: Celery, options: Namespace) -> int:
    found = runner.examine(Patient(app), is_production=options.deploy)
    errors = sum(each.is_error for each in found)
    if options.json:
        counts = {"errors": errors, "warnings": len(found) - errors}
        output.document({**counts, "findings": [each.document() for each in found]})
    elif output.is_for_people():
        _tell(found, errors)
    else:
        output.table(("level", "code", "what", "fix"), [_row(each) for each in found])
    return 1 if errors else 0


def _arguments(parser: ArgumentParser) -> Any:
    return parser.add_argument(
        "--deploy", action="store_true", help="also what matters in production alone, as DEBUG or no worker"
    )


def _tell(found: list[Finding], errors: int) -> None:
    output.line(f"Celeriac {__version__} · Celery {celery.__version__} · Django {django.get_version()}")
    if find_spec("flower") is not None:
        output.line("Flower is installed: python manage.py celery flower")
    for each in found:
        sign, colour = ("✗", "red") if each.is_error else ("!", "yellow")
        output.line(f"{output.coloured(sign, colour)} {output.coloured(each.kind.code, 'bold')}: {each.what}")
        output.line(f"    {each.kind.why}")
        output.line(f"    fix: {each.fix}")
    if found:
        output.line(f"{counted(errors, 'error')}, {counted(len(found) - errors, 'warning')}")
    else:
        output.line(f"{output.coloured('✓', 'green')} nothing found in {len(runner.kinds())} points")


def _row(each: Finding) -> tuple[str, str, str, str]:
    return str(each.kind.level), each.kind.code, each.what, each.fix


COMMAND = Command(
    "doctor",
    "Looks at settings, databases, broker, workers and service files, and says what will make tasks fail,\n"
    "wait or vanish, why, and how to mend it. Exit code 1 where an error is found; it changes nothing.",
    "doctor --deploy",
    _work,
    _arguments,
)
