"""Sending messages together with their rows.

In the transaction of the rows, where a database carries messages; else behind its commit, for a worker must
find the rows. What another broker does not take has ended as it had.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from django.db import transaction

from celeriac.broker import address, writing
from celeriac.broker.collecting import Collected, collecting
from celeriac.broker.confirming import confirming
from celeriac.broker.explaining import explained
from celeriac.database.inserting import Insert
from celeriac.publisher.before import Before


@dataclass(frozen=True, slots=True)
class Item:
    """A message to send."""

    key: Any
    task_name: str
    send: Callable[[Any], None]


@dataclass(slots=True)
class Delivery:
    """The messages of a batch."""

    app: Celery
    alias: str
    items: list[Item]
    #: How the tasks had ended, by the keys of the messages.
    before: Before
    #: Called with the keys of what was sent, in the same transaction or behind it.
    then: Callable[[set[Any]], object] = bool
    #: Whether the transaction is the caller's: an error behind its commit would not be ours to raise.
    is_callers: bool = False

    def deliver(self) -> None:
        """Send all, now or behind the commit; raises what the broker raises."""
        broker_alias = address.alias_of(self.app)
        if broker_alias is None:
            transaction.on_commit(self._after_commit, using=self.alias, robust=self.is_callers)
            return
        block = Collected(broker_alias)
        sent: set[Any] = set()
        with collecting(block):
            self._send(sent)
        if block.messages or block.others:
            with transaction.atomic(using=broker_alias, savepoint=False):
                writing.write(block, _nothing_beside)
        self.then(sent)

    def _after_commit(self) -> None:
        sent: set[Any] = set()
        try:
            self._send(sent)
        except Exception:
            self.before.restore({each.key for each in self.items} - sent)
            raise
        finally:
            self.then(sent)

    def _send(self, sent: set[Any]) -> None:
        # A letter goes when the broker has its message, and not when that is in a socket.
        with self.app.producer_or_acquire() as producer, confirming(producer):
            for each in self.items:
                with explained(each.task_name, producer):
                    each.send(producer)
                sent.add(each.key)


def _nothing_beside(_: Any) -> Sequence[Insert]:
    return ()
