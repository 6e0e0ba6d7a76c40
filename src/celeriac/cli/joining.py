"""Join Celery's own `celery` command: in a project with Celeriac, Django is set up before it runs.

`manage.py` has done so before it runs anything. `celery -A proj inspect` never does, and would look for
RabbitMQ where the project's settings name no broker; `celery -A proj worker` does so too late for what
Celeriac adds to a start. `celery.commands` is Celery's entry point for more commands, loaded with its own.
"""

import os
from typing import Any

import click
import django
from celery.bin.base import CeleryCommand, CLIContext
from django.apps import apps
from django.conf import settings

from celeriac.errors import CeleriacError


class _OneLine(click.ClickException):
    exit_code = 2


@click.command(name="discovered", cls=CeleryCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def discovered(context: click.Context, as_json: bool) -> None:
    """List each tasks.py of the project with its tasks, or why it was left out."""
    from celeriac.cli import discovered as command

    try:
        command.COMMAND.run(context.obj.app, ["--json"] if as_json else [])
    except CeleriacError as error:
        raise _OneLine(str(error)) from error


def set_up_django() -> None:
    """Set Django up for a project that has Celeriac; any other is left alone. Raises a one-line error."""
    if apps.ready or not _has_celeriac():
        return
    django.setup()
    from celeriac.app import get_app

    try:
        get_app()
    except CeleriacError as error:
        raise _OneLine(str(error)) from error


def _has_celeriac() -> bool:
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return False
    try:
        installed = settings.INSTALLED_APPS
    except ImportError:
        # Celery may be used for something else than the project that this variable names.
        return False
    return any(name.partition(".")[0] == "celeriac" for name in installed)


def _join() -> None:
    # Celery makes it once the app is found and before the command begins; there is no signal for it.
    make = CLIContext.__init__

    def set_up_and_make(self: CLIContext, *args: Any, **kwargs: Any) -> None:
        set_up_django()
        make(self, *args, **kwargs)

    CLIContext.__init__ = set_up_and_make


_join()
