"""Celery's own command line, in this process, with the project's app: no -A, no second interpreter.

It imports all of Celery's commands with their plug-ins, which is a third of what a command took to begin:
only who needs one of them imports this file.
"""

from collections.abc import Sequence

from celery import Celery
from celery.bin.celery import celery as celery_command

from celeriac.cli.ending import code_of
from celeriac.cli.words import PROGRAM


def commands() -> list[str]:
    """The words of Celery's own commands, and of its plug-ins."""
    return list(celery_command.commands)


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Run one command of Celery's; its exit code. Usage errors are printed by Celery with code 2.

    Raises CeleriacError where the broker or a database does not answer.
    """
    celery_command.params[0].default = app
    try:
        return code_of(
            app,
            lambda: celery_command.main(args=list(arguments), prog_name=PROGRAM, auto_envvar_prefix="CELERY"),
        )
    finally:
        celery_command.params[0].default = None
