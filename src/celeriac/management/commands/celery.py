"""`manage.py celery …`: hands the words over to `celeriac.cli`, untouched."""

import sys
from argparse import REMAINDER
from typing import Any

from celery import maybe_patch_concurrency
from django.core.management.base import BaseCommand, CommandError, CommandParser

from celeriac.cli import output
from celeriac.cli.main import main
from celeriac.errors import CeleriacError

#: Django's own options, which it has acted upon before it calls us.
_DJANGO = ("--settings", "--pythonpath")


class Command(BaseCommand):
    """Background tasks: start a worker, or any command of Celery."""

    help = "Background tasks: start a worker, or any command of Celery."
    # Celery parses the rest; Django's own --version and --help would come first.
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line and end the process with the command's exit code."""
        # gevent and eventlet must patch before anything of the worker is imported.
        maybe_patch_concurrency(argv[1:])
        try:
            code = main(_without_django_options(argv[2:]))
        except (CeleriacError, CommandError) as error:
            output.error(f"celery: {error}")
            code = 2
        sys.exit(code)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("words", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run from `call_command("celery", "start", …)`. Raises CommandError."""
        try:
            code = main([str(word) for word in [*args, *options.get("words", ())]])
        except CeleriacError as error:
            raise CommandError(str(error)) from error
        if code:
            raise CommandError(f"celery ended with code {code}", returncode=code)


def _without_django_options(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _DJANGO:
            skip = True
        elif not argument.startswith(tuple(f"{name}=" for name in _DJANGO)):
            kept.append(argument)
    return kept
