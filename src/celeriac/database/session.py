"""A database connection of our own, apart from Django's.

Celery closes every connection in `django.db.connections` around each task, and a consumer works while
its caller's transaction is open or its thread is busy; so consuming, presence, waiting and storing
results use connections of their own. A session may be used by any thread, one at a time, and survives
a fork by starting afresh in the child.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database import busy, failures, forks, transactions

T = TypeVar("T")

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
        forks.add_owner(self)

    def run(
        self,
        work: Callable[[BaseDatabaseWrapper], T],
        *,
        atomic: bool = True,
        patience_seconds: float = busy.PATIENCE_SECONDS,
    ) -> T:
        """Do `work`, in a transaction of its own when `atomic`; again while the database is busy.

        Raises the database's error when it is lost, when it stays busy, or for any other reason.
        """
        try:
            return busy.done_again(lambda: self._once(work, atomic=atomic), patience_seconds)
        except Error as error:
            if failures.is_lost(error):
                self.close()
            raise

    def connection(self) -> BaseDatabaseWrapper:
        """The open connection; raises Django's errors when it cannot be opened."""
        with forks.working(), self._lock:
            if self._connection is None:
                connection = connections.create_connection(self.alias)
                # Guarded by our own lock instead of Django's check of the thread.
                connection.inc_thread_sharing()
                connection.settings_dict = _adapted(connection.settings_dict)
                # With DEBUG Django would write out each statement with its parameters and keep the last
                # 9,000: a payload may have a megabyte, and a busy worker has other things to do.
                connection.make_debug_cursor = connection.make_cursor  # type: ignore[method-assign,assignment]
                connection.queries_log = deque(maxlen=0)
                self._connection = connection
            if self._connection.connection is None:
                self._open(self._connection)
            return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    connection.close()
                except Error:
                    pass  # It is dead already; nothing of it is used again.

    def close_before_fork(self) -> None:
        """See `forks`."""
        if self._connection is not None and forks.must_close(self._connection):
            self.close()

    def _open(self, connection: BaseDatabaseWrapper) -> None:
        try:
            # Not `connect`, which raises the driver's errors instead of Django's.
            connection.ensure_connection()
            transactions.tune(connection)
        except BaseException:
            self.close()
            raise

    def _once(self, work: Callable[[BaseDatabaseWrapper], T], *, atomic: bool) -> T:
        with forks.working(), self._lock:
            connection = self.connection()
            if not atomic:
                return work(connection)
            transactions.begin(connection)
            try:
                result = work(connection)
                transactions.commit(connection)
            except BaseException:
                self._roll_back(connection)
                raise
            return result

    def _roll_back(self, connection: BaseDatabaseWrapper) -> None:
        try:
            transactions.rollback(connection)
        except Error:
            # The server has rolled back by ending the session.
            self.close()

    def _forget_inherited(self) -> None:
        self._lock = threading.RLock()
        if self._connection is not None:
            _inherited.append(self._connection)
            _detach(self._connection)
        self._connection = None


def _adapted(settings: dict[str, Any]) -> dict[str, Any]:
    # A pool of Django's is for connections that come and go; ours stay, and would leave none to the tasks.
    options = {name: value for name, value in settings.get("OPTIONS", {}).items() if name != "pool"}
    # Our transactions are begun by a statement, whatever the project does with its own.
    return {**settings, "OPTIONS": options, "AUTOCOMMIT": True}


def _detach(connection: BaseDatabaseWrapper) -> None:
    """Point the inherited socket at nothing: no byte of ours may reach the parent's session."""
    fileno = getattr(connection.connection, "fileno", None)
    if fileno is None:
        return  # SQLite has no socket; `forks` has closed it.
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
