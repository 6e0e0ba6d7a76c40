"""A database connection that the broker owns, apart from Django's own ones.

Celery closes every connection in `django.db.connections` around each task, and a consumer works while
its caller's transaction is open or its thread is busy; so consuming, presence and waiting use
connections of their own. A session may be used by any thread, one at a time, and survives a fork by
starting afresh in the child.
"""

import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker import failures
from celeriac.broker.queries import base, queries_for

T = TypeVar("T")
Work = Callable[[BaseDatabaseWrapper, base.Queries], T]

#: Tries before a busy database is reported; with the pauses below about 10 s in all.
_TRIES = 40
_LONGEST_PAUSE_SECONDS = 0.4

_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()
#: Connections inherited by a fork: closing one would end the parent's session on the server.
_inherited: list[BaseDatabaseWrapper] = []


class Session:
    """One connection to `alias`, opened when first used; the owner calls close()."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._lock = threading.RLock()
        self._connection: BaseDatabaseWrapper | None = None
        _sessions.add(self)

    def run(self, work: Work[T], *, atomic: bool = True) -> T:
        """Do `work`, in a transaction of its own when `atomic`; repeated while the database is busy.

        Raises BrokerConnectionLost when the database is away, BrokerRefused for any other error.
        """
        for attempt in range(_TRIES):
            try:
                return self._once(work, atomic=atomic)
            except DatabaseError as error:
                if failures.is_gone(error):
                    self.close()
                    raise failures.BrokerConnectionLost(_lost(self.alias, error)) from error
                if not failures.is_busy(error) or attempt == _TRIES - 1:
                    raise failures.BrokerRefused(f"Database {self.alias!r}: {error}") from error
            time.sleep(_pause(attempt))
        raise AssertionError("unreachable")

    def connection(self) -> BaseDatabaseWrapper:
        """The open connection; raises Django's errors when it cannot be opened."""
        with self._lock:
            if self._connection is None:
                connection = connections.create_connection(self.alias)
                # Guarded by our own lock instead of Django's check of the thread.
                connection.inc_thread_sharing()
                self._connection = connection
            if self._connection.connection is None:
                self._connection.connect()
                queries_for(self._connection).tune(self._connection)
            return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    connection.close()
                except DatabaseError:
                    # It is dead already; nothing of it is used again.
                    pass

    def _once(self, work: Work[T], *, atomic: bool) -> T:
        with self._lock:
            connection = self.connection()
            queries = queries_for(connection)
            if not atomic:
                return work(connection, queries)
            queries.begin(connection)
            try:
                result = work(connection, queries)
                queries.commit(connection)
            except BaseException:
                self._roll_back(connection, queries)
                raise
            return result

    def _roll_back(self, connection: BaseDatabaseWrapper, queries: base.Queries) -> None:
        try:
            queries.rollback(connection)
        except DatabaseError:
            # The server has rolled back by ending the session.
            self.close()

    def _forget_inherited(self) -> None:
        self._lock = threading.RLock()
        if self._connection is not None:
            _inherited.append(self._connection)
            _detach(self._connection)
        self._connection = None


def _detach(connection: BaseDatabaseWrapper) -> None:
    """Point the inherited socket at nothing: no byte of ours may reach the parent's session."""
    fileno = getattr(connection.connection, "fileno", None)
    if fileno is None:
        return  # SQLite has no socket; its file locks are not inherited.
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, fileno())
        os.close(nothing)
    except Exception:  # noqa: BLE001, S110 - a driver's connection that is closed already raises its own class
        pass


def _after_fork_in_child() -> None:
    for session in list(_sessions):
        session._forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _pause(attempt: int) -> float:
    # Jitter: two that collided must not meet again.
    return random.uniform(0.5, 1.0) * min(0.005 * 2**attempt, _LONGEST_PAUSE_SECONDS)  # noqa: S311


def _lost(alias: str, error: BaseException) -> str:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"The broker's database {alias!r} cannot be reached: {first_line}"
