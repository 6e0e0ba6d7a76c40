"""How a command of Celery's ends: its exit code, and in one line where a server does not answer."""

from collections.abc import Callable

from celery import Celery
from django.db import DatabaseError

from celeriac.broker.explaining import in_one_line
from celeriac.cli import absent, detaching, output
from celeriac.database import failures
from celeriac.errors import TablesMissing, Unreachable


def code_of(app: Celery, command: Callable[[], object]) -> int:
    """Run it; its exit code. Raises CeleriacError where the broker or a database does not answer."""
    try:
        with in_one_line(app), detaching.as_this_command():
            command()
    except SystemExit as ended:
        return _code(ended)
    except DatabaseError as error:
        raise explained(app, error) from error
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
