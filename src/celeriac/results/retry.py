"""Which database errors pass by themselves, and how long to try again.

A worker that ran a task must store its result although the database was locked, chose it as the victim
of a deadlock, or restarted. Inside a transaction of the caller nothing is tried again: in an aborted
transaction a second try can only fail, and what the caller did before would be lost.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

TRIES = 10
#: Pauses double from the first to the last: about ten seconds in all.
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 2.0

# PostgreSQL, SQLSTATE: serialization failure, deadlock, lock timeout.
_BUSY_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
# Shutdown by an administrator, crash, not accepting connections yet; class 08 is "connection exception".
_LOST_SQLSTATES = frozenset({"57P01", "57P02", "57P03"})
# MariaDB, MySQL: lock wait timeout, deadlock, row changed since it was read, NOWAIT.
_BUSY_NUMBERS = frozenset({1205, 1213, 1020, 3572})
# Shutdown, too many connections, killed, cannot connect, gone away, lost during the query.
_LOST_NUMBERS = frozenset({1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
# SQLITE_BUSY, SQLITE_LOCKED, without the bits of the extended code.
_BUSY_SQLITE_CODES = frozenset({5, 6})

T = TypeVar("T")


def until_stored(alias: str, operation: Callable[[], T], *, tries: int = TRIES) -> T:
    """Run the operation, again while the database is busy or away; raise its error after the last try.

    The operation must be one transaction that may happen twice.
    """
    connection = connections[alias]
    if is_in_transaction(connection):
        return operation()
    for number in range(1, tries):
        try:
            return operation()
        except Error as error:
            if not is_passing(error):
                raise
            if is_lost(error):
                connection.close()
        pause(number)
    return operation()


def pause(number: int) -> None:
    """Sleep before the next try; by chance, so that those who met do not meet again."""
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** (number - 1), _LAST_PAUSE_SECONDS)
    time.sleep(longest * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether the caller of this thread has a transaction open, by `atomic` or without autocommit."""
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed a moment later."""
    return is_lost(error) or _is_busy(error)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that a new one is needed."""
    cause = _of_driver(error)
    if cause is None:
        return False
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return state in _LOST_SQLSTATES or state.startswith("08")
    name = type(cause).__name__
    if hasattr(cause, "sqlstate"):
        # psycopg has no SQLSTATE when it lost the server, or when the connection was closed before.
        return name in {"OperationalError", "InterfaceError"}
    return _number(cause) in _LOST_NUMBERS or (name == "InterfaceError" and _number(cause) == 0)


def _is_busy(error: BaseException) -> bool:
    cause = _of_driver(error)
    if cause is None:
        return False
    if getattr(cause, "sqlstate", None) in _BUSY_SQLSTATES or _number(cause) in _BUSY_NUMBERS:
        return True
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BUSY_SQLITE_CODES


def _of_driver(error: BaseException) -> BaseException | None:
    """The driver's error, which alone has the code: Django's own, perhaps inside another's, is `from` it."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, Error):
        found = found.__cause__
    return found if found is None or found.__cause__ is None else found.__cause__


def _number(cause: BaseException) -> int | None:
    first = cause.args[0] if cause.args else None
    return first if isinstance(first, int) else None
