"""What only waits for the database takes no place of Celery's prefetch count.

A message whose task has ended counts until it is acknowledged, and that waits for the commit of its result:
of four messages for each process none would be left to run meanwhile. Celery's own count stays as it is; the
broker is told that count and, beside it, how many wait. So a worker never holds more tasks that have not
ended than it would without.
"""

import threading
from contextlib import suppress
from typing import Any

from celery.utils.quorum_queues import detect_quorum_queues
from celery.worker import state

from celeriac.broker import prefetch_count as broker

#: So many times Celery's own count may wait beside it, as a bound for what is held in memory.
_MOST_TIMES = 8


class Allowance:
    """Of one connection of a worker's consumer; the broker is told in the consumer's own loop."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._qos = consumer, consumer.qos
        self._say = consumer.qos.callback
        consumer.qos.callback = self._say_with_allowance
        self._channel = consumer.task_consumer.channel
        self._is_local = broker.is_local(self._channel)
        # Not the present one, which has a place more for each task with an ETA.
        self._count = consumer.initial_prefetch_count
        self._most = _MOST_TIMES * self._count
        self._waiting = self._granted = 0
        self._adding = threading.Lock()

    def wait(self) -> bool:
        """One more waits for the database; whether the broker has something for its place.

        Then the loop has to turn, to tell it.
        """
        with self._adding:
            self._waiting += 1
        if not self._is_worth_telling():
            return False
        # Celery's loop tells the broker whenever this is not the value.
        self._qos.prev = None
        return True

    def end(self, count: int) -> None:
        """So many are acknowledged next; called in the loop, before that."""
        with self._adding:
            self._waiting -= count
        # After a new connection it has a count of its own.
        if self._granted > self._waiting and self._consumer.qos is self._qos:
            self._qos.prev = None
            # The loop learns by itself that its connection is lost.
            with suppress(*self._consumer.connection_errors, *self._consumer.channel_errors):
                self._qos.update()

    def _is_worth_telling(self) -> bool:
        """Whether the broker holds messages back for those that wait, and it is worth while to tell it."""
        more = min(self._waiting, self._most) - self._granted
        if more <= 0 or not self._qos.value:
            return False
        if self._is_local:
            return True
        held = self._waiting + len(state.reserved_requests)
        step = min(max(1, self._count // 2), self._most - self._granted)
        return more >= step and held >= min(self._count, self._qos.value) + self._granted

    def _say_with_allowance(self, prefetch_count: int) -> Any:
        """Zero is no limit, and stays that."""
        room = broker.MOST - prefetch_count
        self._granted = min(self._waiting, self._most, room) if prefetch_count else 0
        count = prefetch_count + self._granted
        return broker.tell(self._channel, count) or self._say(prefetch_count=count)


def allowance_of(consumer: Any) -> Allowance | None:
    """A new one for a connection whose prefetch count can be changed: not so with quorum queues."""
    if getattr(consumer, "qos", None) is None:
        return None
    if broker.is_local(consumer.task_consumer.channel) or _is_global(consumer):
        return Allowance(consumer)
    return None


def _is_global(consumer: Any) -> bool:
    """As Celery finds it out for itself; from 5.7 on it notes it."""
    known: bool | None = getattr(consumer, "qos_global", None)
    if known is not None:
        return known
    if consumer.connection.qos_semantics_matches_spec:
        return False
    if not consumer.app.conf.worker_detect_quorum_queues:
        return True
    return not detect_quorum_queues(consumer.app, consumer.connection.transport.driver_type)[0]
