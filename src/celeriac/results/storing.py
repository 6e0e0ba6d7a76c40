"""The connection over which a worker stores states: one that Celery does not close around each task.

Celery closes Django's connections before and after every task, so that storing STARTED and the end of a
task would connect twice to the server: on PostgreSQL that took longer than everything else a short task
does. Other processes keep to Django's connection of the thread; so does whoever has a transaction open
there, because on SQLite a second connection would wait for the first one for ever.
"""

import threading
from collections.abc import Callable
from functools import partial

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database.session import Session
from celeriac.results.retry import is_in_transaction, until_stored

_is_worker = False
_of_thread = threading.local()
#: Every thread's sessions, to be closed by the one that ends the worker. Appending is atomic.
_opened: list[Session] = []


def this_is_a_worker() -> None:
    """From now on the threads of this process, and its forked children, keep connections of their own."""
    global _is_worker
    _is_worker = True


def end() -> None:
    """Close every connection of the worker that ends; may be called twice, and a worker may follow."""
    global _is_worker, _of_thread
    _is_worker, _of_thread = False, threading.local()
    while _opened:
        _opened.pop().close()


def store(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    """Do `work` in a transaction, again while the database is busy or away; raise its last error."""
    if _is_worker and not is_in_transaction(connections[alias]):
        session = _session(alias)
        # One try: `until_stored` is the patient one.
        until_stored(alias, lambda: session.run(work, tries=1))
    else:
        until_stored(alias, partial(_on_django_connection, alias, work))


def _on_django_connection(alias: str, work: Callable[[BaseDatabaseWrapper], None]) -> None:
    with transaction.atomic(using=alias):
        work(connections[alias])


def _session(alias: str) -> Session:
    sessions: dict[str, Session] = _of_thread.__dict__.setdefault("sessions", {})
    if alias not in sessions:
        sessions[alias] = Session(alias)
        _opened.append(sessions[alias])
    return sessions[alias]
