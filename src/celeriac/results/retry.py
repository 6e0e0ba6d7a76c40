"""Which database errors pass by themselves, and how long to try again.

A worker that ran a task must store its result although the database was locked, chose it as the victim
of a deadlock, or restarted: it tries as long as it lives, because the work is done and only this process
knows what came of it. (A time limit of the task goes on counting.) Inside a transaction of the caller
nothing is tried again: in an aborted transaction a second try can only fail, and what the caller did
before would be lost.
"""

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from celery._state import get_current_worker_task
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line, is_lost, is_passing

logger = logging.getLogger(__name__)

TRIES = 10
#: Pauses double from the first to the last: about ten seconds in all.
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 2.0

#: A worker that was told to stop tries the results of its threads for so long.
STOPPING_SECONDS = 30.0

T = TypeVar("T")

#: Whether this process is a worker or one of its pool, and whether it was told to stop.
_is_worker = _is_stopping = False

__all__ = ["TRIES", "is_in_transaction", "is_lost", "is_passing", "pause", "until_stored"]


def this_is_a_worker() -> None:
    """From now on the results of tasks are tried as long as this process lives."""
    global _is_worker, _is_stopping
    _is_worker, _is_stopping = True, False


def stop_soon(**_: Any) -> None:
    """The worker was told to stop: a result may hold it up a little longer, and not for ever."""
    global _is_stopping
    _is_stopping = True


def this_is_no_worker() -> None:
    """The worker has ended."""
    global _is_worker
    _is_worker = False


def until_stored(alias: str, operation: Callable[[], T], *, tries: int = TRIES, is_vital: bool = True) -> T:
    """Run the operation, again while the database is busy or away; raise its error after the last try.

    What is vital to a task of a worker has no last try, until the worker is told to stop. Then SystemExit is
    raised, which Celery takes for the loss of the worker: the message comes again, and no FAILURE is stored.
    The operation must be one transaction that may happen twice.

    `database/busy` is for less: there a lost connection is an error, and an end comes by the clock alone.
    """
    connection = connections[alias]
    if is_in_transaction(connection):
        return operation()
    complaints, started = Complaints(logger), time.monotonic()
    for number in itertools.count(1):
        try:
            return operation()
        except Error as error:
            if not is_passing(error):
                raise
            if number >= tries:
                if not is_vital:
                    raise
                _keep_trying(error, time.monotonic() - started)
                complaints.say(
                    logging.WARNING, "A task's result waits for the database: %s", first_line(error)
                )
            if is_lost(error):
                connection.close()
        pause(min(number, tries))
    raise AssertionError("unreachable")


def _keep_trying(error: Error, seconds: float) -> None:
    """Raise the error where nobody waits for the database any longer."""
    if not _is_worker or get_current_worker_task() is None:
        raise error
    if _is_stopping and seconds >= STOPPING_SECONDS:
        raise SystemExit("The result could not be stored before the worker stopped.") from error


def pause(number: int) -> None:
    """Sleep before the next try; by chance, so that those who met do not meet again."""
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** (number - 1), _LAST_PAUSE_SECONDS)
    time.sleep(longest * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether the caller of this thread has a transaction open, by `atomic` or without autocommit."""
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)
