"""The connection over which a worker stores states: one that Celery does not close around each task.

Celery closes Django's connections before and after every task, so that storing STARTED and the end of a
task would connect twice to the server: on PostgreSQL that took longer than everything else a short task
does. Other processes keep to Django's connection of the thread; so does whoever has a transaction open
there, because on SQLite a second connection would wait for the first one for ever.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from celery.signals import worker_shutting_down
from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database.failures import first_line
from celeriac.database.session import Session
from celeriac.results import retry
from celeriac.results.retry import is_in_transaction, until_stored

logger = logging.getLogger(__name__)

#: Idle connections of one database that stay open. The pool `prefork` needs one of them, `threads` as many
#: as store at once; not one for each thread, because with `gevent` each task is a thread of its own.
MOST_IDLE = 10

_is_worker = False
#: Alias → the idle sessions, the last used at the right. No lock, which a fork could leave taken: each
#: step on them is atomic.
_idle: dict[str, deque[Session]] = {}


def this_is_a_worker() -> None:
    """From now on this process, and its forked children, keep connections of their own."""
    global _is_worker
    _is_worker = True
    retry.this_is_a_worker()
    worker_shutting_down.connect(retry.stop_soon, dispatch_uid="celeriac.results.retry")


def end() -> None:
    """Close every connection of the worker that ends; may be called twice, and a worker may follow."""
    global _is_worker, _idle
    ended, _is_worker, _idle = _idle, False, {}
    retry.this_is_no_worker()
    for sessions in list(ended.values()):
        _close_down_to(0, sessions)


def may_leave_to_flusher(alias: str) -> bool:
    """Whether a state is a worker's, and no part of a transaction of the caller's."""
    # A connection that is not there yet is not made for the question: Celery would close it around each task.
    there = connections.all(initialized_only=True)
    return _is_worker and not any(each.alias == alias and is_in_transaction(each) for each in there)


def store(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    """Do `work` in a transaction, again while the database is busy or away; raise its last error."""
    if _is_worker and not is_in_transaction(connections[alias]):
        until_stored(alias, partial(_on_own_connection, alias, work))
    else:
        until_stored(alias, partial(_on_django_connection, alias, work))


def store_or_tell(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    """As `store`; but a worker that cannot tells it in its log, and the task goes on."""
    if not _is_worker or is_in_transaction(connections[alias]):
        return store(alias, work)
    try:
        until_stored(alias, partial(_on_own_connection, alias, work), is_vital=False)
    except Error as error:
        logger.warning("A state of a task could not be stored: %s", first_line(error))
    return None


def _on_django_connection(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    with transaction.atomic(using=alias):
        work(connections[alias])


def _on_own_connection(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    idle = _idle.setdefault(alias, deque())
    try:
        session = idle.pop()
    except IndexError:
        session = Session(alias)
    try:
        # One try: `until_stored` is the patient one.
        session.run(work, patience_seconds=0)
    finally:
        idle.append(session)
        # A worker that ended meanwhile keeps none.
        _close_down_to(MOST_IDLE if _idle.get(alias) is idle else 0, idle)


def _close_down_to(most: int, idle: deque[Session]) -> None:
    """Close those that were not used for the longest time."""
    while len(idle) > most:
        try:
            idle.popleft().close()
        except IndexError:
            return  # Another thread has taken or closed it.
