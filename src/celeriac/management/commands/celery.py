"""`manage.py celery …`: hands the words over to `celeriac.cli`, untouched."""

import gc
import sys
from argparse import REMAINDER
from contextlib import suppress
from typing import Any

from celery import maybe_patch_concurrency
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from celeriac.cli import detaching, django_options, output
from celeriac.cli.main import main
from celeriac.errors import CeleriacError


class Command(BaseCommand):
    """Background tasks: start a worker, or any command of Celery."""

    help = "Background tasks: start a worker, or any command of Celery."
    # Celery parses the rest; Django's own --version and --help would come first.
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line and end the process with the command's exit code."""
        # Python would look through all of Django for garbage before it ends: a third of a second.
        gc.freeze()
        try:
            _patch(argv[1:])
            code = main(django_options.without_settled(argv[2:]))
        except (CeleriacError, CommandError) as error:
            if django_options.TRACEBACK in argv:
                raise
            output.error(f"celery: {error}")
            code = 2
        _leave()
        sys.exit(code)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("words", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run from `call_command("celery", "start", …)`. Raises CommandError."""
        words = [str(word) for word in [*args, *options.get("words", ())]]
        if detaching.is_asked_for(words):
            # What would begin again in the background is the caller's own program.
            raise CommandError("--detach is for the command line: manage.py celery start --detach")
        try:
            # The caller's `stdout=` and `stderr=`, if there are any.
            with output.sent_to(options.get("stdout"), options.get("stderr")):
                code = main(words)
        except CeleriacError as error:
            raise CommandError(str(error)) from error
        if code:
            raise CommandError(f"celery ended with code {code}", returncode=code)


def _leave() -> None:
    """Take leave of the servers, as Django's own commands do: what is not collected does not do so itself."""
    with suppress(ImproperlyConfigured):
        connections.close_all()


def _patch(words: list[str]) -> None:
    """gevent and eventlet must patch before anything of the worker is imported. Raises CommandError."""
    try:
        maybe_patch_concurrency(words)
    except ModuleNotFoundError as error:
        raise CommandError(f"This pool needs the package {error.name}: pip install {error.name}") from error
