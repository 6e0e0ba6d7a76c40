"""The publishing side's connection: the caller's own, so that a task belongs to its transaction.

In the main process of a worker nothing renews Django's connections, so what is published there outside
of a transaction goes over a session of the broker instead.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import patience, queries_for
from celeriac.broker.session import BrokerSession, Work
from celeriac.database import busy, failures, transactions
from celeriac.errors import TablesMissing

T = TypeVar("T")

#: The thread of a worker's event loop and its session.
_loop: tuple[int, BrokerSession] | None = None


def use_session_in_loop(session: BrokerSession | None) -> None:
    """Say that this thread runs a worker's event loop over `session`; None: no longer."""
    global _loop
    _loop = None if session is None else (threading.get_ident(), session)


def run(alias: str, work: Work[T]) -> T:
    """Do `work` on the caller's connection, in its transaction if there is one.

    A database error is raised as it is. Outside of a transaction a busy database is tried again for
    10 s; inside of one the error belongs to the caller, whose transaction is broken by it.
    """
    connection = connections[alias]
    if connection.in_atomic_block:
        with explained(alias):
            return work(connection, queries_for(connection))
    if _loop is not None and _loop[0] == threading.get_ident() and _loop[1].alias == alias:
        return _in_loop(_loop[1], work)

    def once() -> T:
        with explained(alias):
            return work(connection, queries_for(connection))

    return busy.done_again(once)


def run_briefly(alias: str, work: Work[T]) -> T:
    """Do `work` on the caller's connection, once, and without the caller's patience with a busy database."""
    connection = connections[alias]
    with patience.little(connection):
        return work(connection, queries_for(connection))


def is_in_transaction(alias: str) -> bool:
    """Whether what the caller writes now waits for its commit."""
    connection = connections[alias]
    if connection.connection is None:
        return not connection.settings_dict["AUTOCOMMIT"]
    return connection.in_atomic_block or not connection.autocommit


def _in_loop(session: BrokerSession, work: Work[T]) -> T:
    """Publish from the event loop: events, replies. Raises BrokerRefused also when the database is away."""
    try:
        return session.run(work)
    except BrokerConnectionLost as error:
        # kombu would try a lost connection again at once and for ever, and the loop would be in its hands.
        # Who sends events keeps what was refused.
        raise BrokerRefused(str(error)) from error


def in_transaction(alias: str, work: Callable[[], None], *, is_new: bool = False) -> None:
    """Do `work` in one transaction: a part of the caller's, or as `outside_of_transactions` does."""
    connection = connections[alias]

    def once() -> None:
        with transaction.atomic(using=alias):
            work()

    if connection.in_atomic_block:
        once()
    elif not connection.get_autocommit():
        _begin_manual(connection)
        once()
    else:
        outside_of_transactions(alias, once, is_new=is_new)


def in_one_statement(alias: str, work: Callable[[], None], *, is_new: bool = False) -> None:
    """Do `work`, which is one statement: in the caller's transaction, without a savepoint, or by itself.

    Where it fails inside of `atomic()`, that is rolled back, as by any failed query of Django's own.
    """
    connection = connections[alias]
    if connection.in_atomic_block:
        with transaction.mark_for_rollback_on_error(using=alias):
            work()
    elif not connection.get_autocommit():
        work()
    else:
        outside_of_transactions(alias, work, is_new=is_new)


def outside_of_transactions(alias: str, work: Callable[[], None], *, is_new: bool = False) -> None:
    """Do `work`, a transaction of its own: again for 10 s while the database is busy, and once on a new
    connection when the old one was lost, as a process that publishes rarely may find it.

    `is_new`: no row of it can have been there before. If the repeat finds one, nothing was lost but the
    answer to the commit.
    """
    try:
        return busy.done_again(work)
    except DatabaseError as error:
        if not failures.is_lost(error):
            raise
    connections[alias].close()
    try:
        return busy.done_again(work)
    except IntegrityError:
        if not is_new:
            raise
        return None


def after_commit(alias: str, action: Callable[[], None]) -> None:
    """Do `action` once what was written is visible to others, where Django tells; once per transaction."""
    connection = connections[alias]
    if not connection.in_atomic_block and not connection.get_autocommit():
        return  # Django does not tell of a manual commit; consumers look by themselves every second.
    pending = connection.run_on_commit
    if connection.in_atomic_block and pending and pending[-1][1] is action:
        return
    transaction.on_commit(action, using=alias, robust=True)


def _begin_manual(connection: BaseDatabaseWrapper) -> None:
    """Begin the caller's transaction, where the driver waits for its first change and a savepoint is none.

    sqlite3 does so: the savepoint would be the transaction, and its release the commit.
    """
    if getattr(connection.connection, "in_transaction", True) is False:
        busy.done_again(lambda: transactions.begin(connection))


@contextmanager
def explained(alias: str) -> Iterator[None]:
    """Raise TablesMissing, which says what to do, where the database says that a table is not there."""
    try:
        yield
    except DatabaseError as error:
        if failures.is_missing_table(error):
            raise TablesMissing(failures.tables_missing(alias)) from error
        raise


if hasattr(os, "register_at_fork"):
    # A child of the pool has no loop, and its threads may have the number of the parent's.
    os.register_at_fork(after_in_child=lambda: use_session_in_loop(None))
