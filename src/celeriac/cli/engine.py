"""Celery's own command line, in this process, with the project's app: no -A, no second interpreter."""

from collections.abc import Sequence

from celery import Celery
from celery.bin.celery import celery as celery_command
from django.db import DatabaseError

from celeriac.broker.explaining import in_one_line
from celeriac.cli import absent, detaching, output
from celeriac.database import failures
from celeriac.errors import TablesMissing, Unreachable

PROGRAM = "manage.py celery"


def commands() -> list[str]:
    """The words of Celery's own commands, and of its plug-ins."""
    return list(celery_command.commands)


def run(app: Celery, arguments: Sequence[str]) -> int:
    """Run one command of Celery's; its exit code. Usage errors are printed by Celery with code 2.

    Raises CeleriacError where the broker or a database does not answer.
    """
    celery_command.params[0].default = app
    try:
        with in_one_line(app), detaching.as_this_command():
            celery_command.main(args=list(arguments), prog_name=PROGRAM, auto_envvar_prefix="CELERY")
    except SystemExit as ended:
        return _code(ended)
    except DatabaseError as error:
        raise explained(app, error) from error
    finally:
        celery_command.params[0].default = None
    return 0


def _code(ended: SystemExit) -> int:
    if ended.code is None:
        return 0
    if isinstance(ended.code, int):
        return ended.code
    output.error(str(ended.code))
    return 2


def explained(app: Celery, error: DatabaseError | TablesMissing) -> Exception:
    """What a command says of it, in one line where that is possible."""
    if isinstance(error, TablesMissing) or failures.is_missing_table(error):
        return absent.explained(app, error)
    if not failures.is_lost(error):
        return error
    return Unreachable(
        f"A database cannot be reached: {failures.first_line(error)}. Start it, or correct DATABASES."
    )
