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

from celeriac.database.failures import is_lost, is_passing

TRIES = 10
#: Pauses double from the first to the last: about ten seconds in all.
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 2.0

T = TypeVar("T")

__all__ = ["TRIES", "is_in_transaction", "is_lost", "is_passing", "pause", "until_stored"]


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
