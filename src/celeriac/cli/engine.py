"""Celery's own command line, in this process, with the project's app: no -A, no second interpreter."""

from collections.abc import Sequence

from celery import Celery
from celery.bin.celery import celery as celery_command

from celeriac.cli import output

PROGRAM = "manage.py celery"


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Run one command of Celery's; its exit code. Usage errors are printed by Celery with code 2."""
    celery_command.params[0].default = app
    try:
        celery_command.main(args=list(arguments), prog_name=PROGRAM, auto_envvar_prefix="CELERY")
    except SystemExit as ended:
        return _code(ended)
    finally:
        celery_command.params[0].default = None
    return 0


def _code(ended: SystemExit) -> int:
    if ended.code is None:
        return 0
    if isinstance(ended.code, int):
        return ended.code
    output.error(str(ended.code))
    return 1
