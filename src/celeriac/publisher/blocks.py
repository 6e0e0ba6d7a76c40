"""What is published together: one task with its rows, or everything of a `bulk()` block or a group."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import collecting, holding, writing
from celeriac.broker.collecting import Collected
from celeriac.database.inserting import Insert, Row
from celeriac.publisher.outbox import Outbox
from celeriac.results import pending, publishing
from celeriac.results.pending import Published

_current: ContextVar["Bulk | None"] = ContextVar("celeriac_bulk", default=None)


_seen: ContextVar["list[Seen] | None"] = ContextVar("celeriac_seen", default=None)

#: How much of everything a block had: messages, other statements, rows in PENDING, records, in the outbox.
Sizes = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one publish has put into a block."""

    alias: str
    messages: list[Any]
    has_others: bool
    pending: list[Row]
    records: list[Row]


class Block:
    """Tasks for one database, which also may have their rows."""

    def __init__(self, alias: str) -> None:
        self.messages = Collected(alias)
        #: Messages for a broker that is no database, if there are any.
        self.outbox: Outbox | None = None
        #: Whether the rows are in the database of the messages, and so in one transaction with them.
        self.has_rows = pending.results_alias() == alias
        self.pending: list[Row] = []
        self.records: list[Row] = []
        #: The tasks whose ids were not drawn here: others may know them, and have made a row.
        self.may_exist: set[str] = set()
        #: What has its rows elsewhere, after the commit: (backend, what was published).
        self.elsewhere: list[tuple[Any, Published]] = []

    def add(self, connection: Connection, backend: Any, published: Published) -> None:
        """Take in the rows of a task whose message is in `messages`."""
        if not self.has_rows:
            self.elsewhere.append((backend, published))
            return
        rows, records = pending.rows_of(connection, [(backend, published)])
        self.may_exist.add(published.task_id)
        self.pending += rows
        self.records += records

    def sizes(self) -> Sizes:
        """How much there is now; for `take_back` and `show`."""
        outgoing = 0 if self.outbox is None else len(self.outbox)
        messages = self.messages
        return len(messages.messages), len(messages.others), len(self.pending), len(self.records), outgoing

    def take_back(self, to: Sizes) -> None:
        """Forget what came after `to`."""
        messages, others, pending, records, outbox = to
        del self.messages.messages[messages:], self.messages.others[others:]
        del self.pending[pending:], self.records[records:]
        if self.outbox is not None:
            self.outbox.take_back(outbox)

    def show(self, since: Sizes) -> None:
        """Let whoever watches see what came since then."""
        if (seen := _seen.get()) is not None:
            messages, others, pending, records, _ = since
            seen.append(
                Seen(
                    self.messages.alias,
                    self.messages.messages[messages:],
                    len(self.messages.others) > others,
                    self.pending[pending:],
                    self.records[records:],
                )
            )

    def into_outbox(self) -> Outbox:
        """Where messages for a broker that is no database are put."""
        if self.outbox is None:
            self.outbox = Outbox(self.messages.alias)
        return self.outbox

    def write(self, producer: Any = None) -> None:
        """Write all of it: a part of the caller's transaction, or a transaction of its own.

        `producer`: the one of the call, for what is sent from the outbox before that has ended.
        """
        outbox = self.outbox
        writing.write(self.messages, self._beside, largest=0 if outbox is None else outbox.largest)
        if outbox is not None:
            outbox.send_after_commit(producer)
        if self.elsewhere:
            pending.record_all(self.messages.alias, self.elsewhere)

    def _beside(self, connection: Connection) -> Sequence[Insert]:
        if not self.records:
            return ()
        inserts = publishing.inserts(connection, self.pending, self.records, self.may_exist)
        return inserts if self.outbox is None else [*inserts, *self.outbox.inserts(connection)]


class Bulk:
    """What is collected until the end of the outermost block."""

    def __init__(self, *, has_all: bool) -> None:
        #: Whether what goes to a broker that is no database is collected too.
        self.has_all = has_all
        self._blocks: dict[str, tuple[int, Block]] = {}
        self.held = holding.Held()
        #: Tasks for a broker that is no database: (messages held with it, backend, what was published).
        self._at_other_brokers: list[tuple[int, Any, Published]] = []

    def block(self, alias: str) -> Block | None:
        """The block of a database; None inside of a transaction that began after it and ends before it."""
        depth = collecting.depth(alias)
        if alias not in self._blocks:
            self._blocks[alias] = depth, Block(alias)
        begun_at, block = self._blocks[alias]
        return block if depth == begun_at else None

    def add(self, backend: Any, published: Published) -> None:
        """Take in the rows of a task whose message is in `held`."""
        self._at_other_brokers.append((len(self.held), backend, published))

    def publish(self) -> None:
        """Publish what was collected, in the order of the calls for each broker."""
        for _, block in self._blocks.values():
            if block.messages.messages or block.messages.others or block.outbox:
                block.write()
        try:
            self.held.send()
        finally:
            sent = [each[1:] for each in self._at_other_brokers if each[0] <= self.held.sent]
            if sent:
                pending.record_all(None, sent)


def current() -> Bulk | None:
    """The block that collects here, in this thread or asynchronous task."""
    return _current.get()


@contextmanager
def watching() -> Iterator[list[Seen]]:
    """What is published within, task by task."""
    seen: list[Seen] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


@contextmanager
def bulk() -> Iterator[None]:
    """Collect every `delay()` and `apply_async()` within, and publish them together at the end.

    In the caller's transaction if there is one. An exception publishes nothing; a block within another one
    is a part of that. What is called inside of an `atomic()` that begins and ends within the block is
    written there and then, for its rollback must take it along.
    """
    with _collecting(has_all=True):
        yield


@contextmanager
def group_of_tasks() -> Iterator[None]:
    """Collect as `bulk` does where a database or an outbox has messages; elsewhere a group goes as ever."""
    with _collecting(has_all=False):
        yield


@contextmanager
def _collecting(*, has_all: bool) -> Iterator[None]:
    if _current.get() is not None:
        yield
        return
    collected = Bulk(has_all=has_all)
    token = _current.set(collected)
    try:
        yield
    finally:
        _current.reset(token)
    collected.publish()
