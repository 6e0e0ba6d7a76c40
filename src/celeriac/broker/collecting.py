"""What is published within a block waits for its end, and is then written together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connections

from celeriac.broker.queries.base import NewMessage

_open: ContextVar["Collected | None"] = ContextVar("celeriac_collected", default=None)


class Collected:
    """Messages for the queues of one database, in the order in which they were published."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.messages: list[NewMessage | tuple[Any, ...]] = []
        #: Statements for the same transaction, such as an event for those who watch.
        self.others: list[Callable[[], Any]] = []
        #: The queues of those statements' messages.
        self.queues: set[str] = set()


def collected(alias: str) -> Collected | None:
    """What collects for this database now, in this thread or asynchronous task."""
    found = _open.get()
    return found if found is not None and found.alias == alias else None


@contextmanager
def collecting(into: Collected) -> Iterator[Collected]:
    """Let the stores of its database put into it what they would write."""
    token = _open.set(into)
    try:
        yield into
    finally:
        _open.reset(token)


def depth(alias: str) -> int:
    """How many transactions and savepoints of the caller are open, one in the other."""
    connection = connections[alias]
    return len(connection.atomic_blocks) + connection.in_atomic_block
