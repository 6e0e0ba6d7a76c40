"""Writing what was collected, all or none: messages, and the rows that belong to them."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import caller
from celeriac.broker.collecting import Collected
from celeriac.broker.queries import base, queries_for
from celeriac.broker.store import store_for
from celeriac.database import transactions
from celeriac.database.inserting import Insert, insert_all, is_one_statement

#: What a task's row has beside its message's text, three tables together.
_BESIDE_BYTES = 700


def write(block: Collected, beside: Callable[[Connection], Sequence[Insert]], *, largest: int = 0) -> None:
    """Write the messages of `block` and, with them, the rows that `beside` makes; then wake the consumers.

    `largest` is about how many bytes a row beside them has at the most, if that is more than a message.

    Any database error is raised, and then nothing of it is there. Within a transaction of the caller it also
    keeps that transaction from being committed where one statement was all: PostgreSQL would not take
    another one.
    """
    alias = block.alias
    connection = connections[alias]
    queries_for(connection)  # Raises UnsupportedDatabase.
    rows = [each.row() if isinstance(each, base.NewMessage) else each for each in block.messages]
    # A message's text is there twice: with its record.
    largest = max((len(row[8]) for row in rows), default=largest) * 2 + _BESIDE_BYTES
    inserts = [base.messages(rows), *beside(connection)]
    is_one = not block.others and is_one_statement(connection, _most(inserts), largest * _most(inserts))

    def work() -> None:
        with caller.explained(alias):
            insert_all(connection, inserts, row_bytes=largest)
            for other in block.others:
                other()

    # Messages have no ids of their own, which would tell whether they are there.
    is_new = any(each.rows and not each.target.conflict for each in inserts[1:])
    if is_one:
        caller.in_one_statement(alias, work, is_new=is_new)
    elif block.others or connection.in_atomic_block or not connection.get_autocommit():
        caller.in_transaction(alias, work, is_new=is_new)
    else:
        caller.outside_of_transactions(alias, lambda: _in_short_transaction(connection, work), is_new=is_new)
    if queues := {row[0] for row in rows} | block.queues:
        store_for(alias).wake_consumers(queues)


def _most(inserts: Sequence[Insert]) -> int:
    return max(len(each.rows) for each in inserts)


def _in_short_transaction(connection: Connection, work: Callable[[], None]) -> None:
    """A transaction of nothing but these statements: `atomic` would ask and set more than they take."""
    transactions.begin(connection)
    try:
        work()
        transactions.commit(connection)
    except BaseException:
        try:
            transactions.rollback(connection)
        except DatabaseError:
            # What a lost connection began is undone by the server.
            with suppress(DatabaseError):
                connection.close()
        raise
