"""No connection to SQLite crosses a fork.

SQLite keeps book in memory of the locks that its process has on a file, and a forked child inherits the
book without the locks: next to an inherited connection, one that the child opens takes no lock for being
there. Measured with 3.40: when the parent was killed, the next process to come and go removed the write-ahead
log under the child, and what the child then committed was lost. A child that has closed all inherited
files, like Celery's beat, gets "locking protocol" or "disk I/O error" for every statement.

So whoever keeps a connection says when it works with it and how to close it; a fork waits for the
work of the other threads and closes first. The next use opens a new connection.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

#: How long a fork waits for the work of other threads; longer would hold up the worker.
_PATIENCE_SECONDS = 15.0


class Owner(Protocol):
    """Keeps connections beyond one piece of work."""

    def close_before_fork(self) -> None:
        """Close those that `must_close` names; called while no thread works with any."""


class _State:
    """Who works, and who forks; made anew in the child, where other threads are gone."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        #: Thread → how deep it is in `working`.
        self.working: dict[int, int] = {}
        self.forking: int | None = None
        self.owners: weakref.WeakSet[Owner] = weakref.WeakSet()
        self.may_close_django_connections: Callable[[], bool] = bool


_state = _State()


def add_owner(owner: Owner) -> None:
    """From now on ask `owner` to close its connections before a fork, as long as it exists."""
    with _state.changed:
        _state.owners.add(owner)


def close_django_connections(*, when: Callable[[], bool]) -> None:
    """Close the forking thread's Django connections too, when `when` says that nothing reads from them."""
    _state.may_close_django_connections = when


@contextmanager
def working() -> Iterator[None]:
    """No other thread forks meanwhile."""
    me = threading.get_ident()
    with _state.changed:
        _state.changed.wait_for(lambda: _state.forking in {None, me})
        _state.working[me] = _state.working.get(me, 0) + 1
    try:
        yield
    finally:
        with _state.changed:
            _state.working[me] -= 1
            if not _state.working[me]:
                del _state.working[me]
                _state.changed.notify_all()


def must_close(connection: BaseDatabaseWrapper) -> bool:
    """Whether an open connection would do harm in a child: to a file of SQLite, and in no transaction."""
    if connection.vendor != "sqlite" or connection.connection is None or connection.in_atomic_block:
        return False
    return not connection.is_in_memory_db()  # type: ignore[attr-defined]  # of Django's SQLite wrapper


def _before_fork() -> None:
    me = threading.get_ident()
    with _state.changed:
        _state.changed.wait_for(lambda: _is_quiet(me), _PATIENCE_SECONDS)
        _state.forking = me
        if not _is_quiet(me) or me in _state.working:
            return  # A fork cannot be refused; what is in use must stay open.
        owners = list(_state.owners)
    for owner in owners:
        owner.close_before_fork()
    if _state.may_close_django_connections():
        for connection in connections.all(initialized_only=True):
            if must_close(connection):
                connection.close()


def _is_quiet(me: int) -> bool:
    return _state.forking in {None, me} and not set(_state.working) - {me}


def _after_fork_in_parent() -> None:
    with _state.changed:
        _state.forking = None
        _state.changed.notify_all()


def _after_fork_in_child() -> None:
    global _state
    me, before = threading.get_ident(), _state
    _state = _State()
    _state.owners = before.owners
    if me in before.working:
        _state.working[me] = before.working[me]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
