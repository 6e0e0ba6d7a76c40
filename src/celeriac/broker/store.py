"""The messages of one database alias: publish and route on the caller's connection.

The verbs of the consuming side are in `deliveries`; both speak the same tables through `queries`.
"""

import logging
import math
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, connections, transaction

from celeriac.broker import apart, caller, clock, collecting, payload
from celeriac.broker.queries import routing
from celeriac.broker.queries.base import STEP, Queries
from celeriac.broker.queries.routing import Bound
from celeriac.broker.wakeup import bells, doorbell
from celeriac.database import failures
from celeriac.errors import UnknownDatabase

logger = logging.getLogger(__name__)

#: How long a routing table may be out of date, except for remote control, which asks every time.
_ROUTES_LAST_SECONDS = 1.0


@lru_cache
def store_for(alias: str) -> "Store":
    """The store of a database alias; raises UnknownDatabase."""
    if alias not in connections:
        known = ", ".join(sorted(connections))
        raise UnknownDatabase(
            f"CELERY_BROKER_URL names the database {alias!r}, but DATABASES has only: {known}."
        )
    return Store(alias)


class Store:
    """One per process and alias; safe in every thread."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._declared: dict[str, int | None] = {}
        #: Queues that others declared: when that was read, and (message_ttl,) of a known one.
        self._lives: dict[str, tuple[float, tuple[int | None] | None]] = {}
        self._routes: dict[str, tuple[float, list[Bound]]] = {}
        #: Bindings made here that are not known to be committed: (exchange, routing key, queue).
        self._unsure: set[tuple[str, str, str]] = set()
        # One object, by which `caller` knows it. No partial: Django asks a failed hook for its __qualname__.
        self._wake = self._ring
        #: Each connection's queues whose commit is not told of yet.
        self._to_ring: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()

    def publish(self, queue: str, message: Mapping[str, Any]) -> None:
        """Add a message; it exists if and only if the caller's transaction commits."""
        new = payload.new_message(queue, message, self._message_ttl(queue))
        if (block := collecting.collected(self.alias)) is not None:
            block.messages.append(new)
            return
        caller.run(self.alias, lambda connection, queries: queries.publish(connection, new))
        self.wake_consumers([queue])

    def broadcast(self, queues: list[str], message: Mapping[str, Any], lifetime: float) -> None:
        """Add a copy to each transient queue; it is gone after `lifetime` seconds at the latest."""
        copy = payload.new_copy(message, lifetime)

        def write() -> None:
            caller.run(self.alias, lambda connection, _: routing.broadcast(connection, queues, copy))

        if (block := collecting.collected(self.alias)) is not None:
            block.others.append(write)
            block.queues.update(queues)
            return
        write()
        self.wake_consumers(queues)

    def ask(self, exchange: str, message: Mapping[str, Any], lifetime: float) -> None:
        """Add a request of remote control at once, which no commit of the caller's may hold up."""
        copy, now = payload.new_copy(message, lifetime), clock.now()

        def work(connection: Any, queries: Queries) -> list[str]:
            if queues := [each.queue for each in routing.bindings(connection, exchange, now)]:
                routing.broadcast(connection, queues, copy)
                queries.notify(connection, queues)
            return queues

        for queue in apart.run(self.alias, work):
            doorbell.ring(self.alias, queue)

    def wake_consumers(self, queues: Iterable[str]) -> None:
        """Wake one consumer of each queue once the caller's transaction has committed."""
        # After a rollback they stay: the next commit rings in vain.
        self._to_ring.setdefault(connections[self.alias], set()).update(queues)
        caller.after_commit(self.alias, self._wake)

    def _ring(self) -> None:
        bells.ring(self.alias, self._to_ring.pop(connections[self.alias], ()))

    def declare_queue(self, queue: str, message_ttl: int | None) -> None:
        """Make the queue known; `message_ttl` in milliseconds."""
        self._declared[queue] = message_ttl
        self._when_committed(lambda connection, _: routing.declare_queue(connection, queue, message_ttl))

    def has_queue(self, queue: str) -> bool:
        """Whether anybody declared the queue and nobody deleted it."""
        found = caller.run(self.alias, lambda connection, _: routing.queue(connection, queue))
        if found is not None:
            return True
        return caller.run(self.alias, lambda connection, _: routing.is_bound(connection, queue))

    def delete_queue(self, queue: str) -> None:
        """Delete the queue with its bindings and messages, for every process.

        As in AMQP what is claimed goes too: its task runs to its end, and the ack finds nothing.
        """
        self._routes.clear()
        if apart.is_mailbox(queue):
            # kombu deletes its reply queue where it has asked, and no message of the other table is in it.
            apart.run(self.alias, lambda connection, _: routing.forget_queue(connection, queue))
            return
        self._declared.pop(queue, None)
        self._unsure.difference_update([key for key in list(self._unsure) if key[2] == queue])
        self.purge(queue)
        caller.run(self.alias, lambda connection, _: routing.forget_queue(connection, queue))
        while caller.run(self.alias, lambda connection, _: routing.drop_claimed(connection, queue)) == STEP:
            pass

    def purge(self, queue: str) -> int:
        """Delete the waiting messages, in bounded steps; how many there were."""
        total = caller.run(self.alias, lambda connection, _: routing.drop(connection, queue))

        def step(connection: Any, queries: Queries) -> int:
            return queries.purge(connection, queue)

        while deleted := caller.run(self.alias, step):
            total += deleted
            if deleted < STEP:
                break
        return total

    def size(self, queue: str, limit: int) -> int:
        """How many messages wait, counted up to `limit`."""
        return caller.run(
            self.alias,
            lambda connection, queries: (
                queries.size(connection, queue, limit) + routing.count(connection, queue)
            ),
        )

    def bind(self, bound: Bound) -> None:
        """Bind a queue to an exchange; a transient binding ends unless it is bound again in time."""
        self._routes.pop(bound.exchange, None)
        if apart.is_mailbox(bound.queue):
            # Who asks inside of a transaction waits for the answer there.
            apart.run(self.alias, lambda connection, _: routing.bind(connection, bound))
            return
        key = (bound.exchange, bound.routing_key, bound.queue)
        self._unsure.add(key)

        def work(connection: Any, _: Queries) -> None:
            # In the caller's transaction it may still be rolled back.
            routing.bind(connection, bound)
            if not caller.is_in_transaction(self.alias):
                self._unsure.discard(key)

        self._when_committed(work)

    def is_unsure(self, bound: Bound) -> bool:
        """Whether the binding was made here in a transaction that is still open, or was rolled back."""
        return (bound.exchange, bound.routing_key, bound.queue) in self._unsure

    def unbind(self, exchange: str, routing_key: str, queue: str) -> None:
        self._routes.pop(exchange, None)
        self._unsure.discard((exchange, routing_key, queue))
        caller.run(self.alias, lambda connection, _: routing.unbind(connection, exchange, routing_key, queue))

    def bindings(self, exchange: str, *, fresh: bool = False) -> list[Bound]:
        """The queues bound to an exchange, at most a second old unless `fresh`."""
        read_at, bound = self._routes.get(exchange, (-math.inf, []))
        if fresh or time.monotonic() - read_at > _ROUTES_LAST_SECONDS:
            read_at, now = time.monotonic(), clock.now()
            bound = caller.run(self.alias, lambda connection, _: routing.bindings(connection, exchange, now))
            self._routes[exchange] = (read_at, bound)
        return bound

    def default_bindings(self, queue: str) -> list[Bound]:
        """The binding of a transient queue to the default exchange, if that queue is one."""
        now = clock.now()
        return caller.run(self.alias, lambda connection, _: routing.default_bindings(connection, queue, now))

    def _message_ttl(self, queue: str) -> int | None:
        """How long a message may wait in the queue, whoever declared it; at most a second old."""
        if queue in self._declared:
            return self._declared[queue]
        read_at, found = self._lives.get(queue, (-math.inf, None))
        if time.monotonic() - read_at > _ROUTES_LAST_SECONDS:
            read_at = time.monotonic()
            found = caller.run(self.alias, lambda connection, _: routing.queue(connection, queue))
            self._lives[queue] = (read_at, found)
        return found[0] if found else None

    def _when_committed(self, work: Any) -> None:
        """Declare outside of the caller's transaction.

        A row inserted by a transaction that stays open would make every other process that declares
        the same queue wait for it.
        """
        if not connections[self.alias].in_atomic_block:
            caller.run(self.alias, work)
            return

        def declare() -> None:
            # The caller's transaction is committed: nothing here may look as if it had failed.
            try:
                caller.run_briefly(self.alias, work)
            except DatabaseError as error:
                reason = failures.first_line(error)
                logger.warning("A declaration failed; the next message or connection repeats it: %s", reason)

        transaction.on_commit(declare, using=self.alias, robust=True)
