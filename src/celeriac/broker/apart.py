"""Remote control that is waited for: on a session of our own, outside of the caller's transaction.

A request that waits for the caller's commit gets no answer before it, and who waits for the answer does
not commit. Only what is asked with a reply goes this way; what nobody waits for, such as a revoke,
belongs to the transaction.
"""

from typing import Any, TypeVar

from django.db import DatabaseError, connections

from celeriac.broker import caller
from celeriac.broker.queries import patience, queries_for
from celeriac.broker.session import Work
from celeriac.database import failures
from celeriac.database.session import Session
from celeriac.errors import HeldByTransaction

T = TypeVar("T")

#: kombu's names of the exchanges and queues of remote control end so.
_MAILBOX = ".pidbox"
#: Who waits inside of a transaction holds up others.
_PATIENCE_SECONDS = 0.6


def is_mailbox(name: str) -> bool:
    """Whether an exchange or a queue is one of remote control."""
    return name.endswith(_MAILBOX)


def is_waited_for(exchange: str, message: Any) -> bool:
    """Whether a message is a request of remote control that asks for a reply."""
    # The text of JSON: within a string the quotes would be escaped. Another serializer's is not looked into.
    is_json = message.get("content-type") == "application/json"
    return is_mailbox(exchange) and (not is_json or '"reply_to"' in message["body"])


def run(alias: str, work: Work[T]) -> T:
    """Do `work` at once, even when the caller is in a transaction.

    Raises HeldByTransaction where the transaction itself is in the way: on SQLite, once it has written.
    """
    if not caller.is_in_transaction(alias):
        return caller.run(alias, work)
    if _is_the_writer(connections[alias]):
        raise HeldByTransaction(_held(alias))
    session = Session(alias)
    try:
        return session.run(
            lambda connection: _work(connection, work), atomic=False, patience_seconds=_PATIENCE_SECONDS
        )
    except DatabaseError as error:
        if connections[alias].vendor == "sqlite" and failures.is_busy(error):
            raise HeldByTransaction(_held(alias)) from error
        raise
    finally:
        session.close()


def _work(connection: Any, work: Work[T]) -> T:
    with patience.little(connection):
        return work(connection, queries_for(connection))


def _is_the_writer(connection: Any) -> bool:
    """Whether the caller holds the one lock for certain: the transaction began so, or no file is shared."""
    if connection.vendor != "sqlite":
        return False
    began_so = connection.in_atomic_block and connection.transaction_mode in {"IMMEDIATE", "EXCLUSIVE"}
    return began_so or connection.is_in_memory_db()


def _held(alias: str) -> str:
    return (
        "Remote control cannot be asked inside of this transaction: the write lock of the SQLite database "
        f"{alias!r} is held, and no worker could answer. Ask before the transaction begins, or after its end."
    )
