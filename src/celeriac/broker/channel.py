"""A kombu channel over the tables: this file is the part that consumes."""

import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

from celeriac.broker import clock, payload
from celeriac.broker.compression import inflate
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.publishing import Publishing
from celeriac.broker.qos import TRANSIENT_TAG, QoS
from celeriac.broker.queries.base import Claimed
from celeriac.dead_letters import UNREADABLE

logger = logging.getLogger(__name__)

#: Messages claimed at once when the prefetch count sets no limit.
_UNLIMITED = 100


class Channel(Publishing):
    """Consumes on the broker's own connection; closing gives back what it holds."""

    QoS = QoS
    do_restore = False
    closed: bool
    #: Of all values that it had.
    _least_prefetch = 0
    #: Whether the last look took as much as there was room for: there may be more.
    left_more = False

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        self.store = connection.store
        self.deliveries = connection.deliveries
        self._callbacks: dict[str, Callable[[Any], Any]] = {}
        super().__init__(connection, **kwargs)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any
    ) -> None:
        """Deliver from `queue` to `callback` when the transport polls."""
        self._tag_to_queue[consumer_tag] = queue
        self._active_queues.append(queue)
        self._consumers.add(consumer_tag)

        def deliver(message: Any) -> None:
            self.qos.append(message, message.delivery_tag)
            if no_ack:
                self.qos.ack(message.delivery_tag)
            callback(message)

        self._callbacks[queue] = deliver
        self.connection.on_consume()

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop delivering to a consumer; what it holds stays held, what was claimed ahead goes back."""
        if consumer_tag in self._consumers:
            self._consumers.remove(consumer_tag)
            queue = self._tag_to_queue.pop(consumer_tag)
            self._active_queues.remove(queue)
            self.deliveries.claims.give_back()
            if queue not in self._active_queues:
                self._callbacks.pop(queue, None)
                if self.connection is not None:
                    self.connection.on_cancel()

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """One message of the queue, or None."""
        found = next(iter(self._fetch([queue], 1)), None)
        if found is None:
            return None
        message = found[1]
        self.qos.append(message, message.delivery_tag)
        if no_ack:
            self.qos.ack(message.delivery_tag)
        return message

    def poll(self) -> int:
        """Claim what may be held and deliver it; how many messages that were."""
        self.left_more = False
        if not self.has_room():
            return 0
        estimate = self.qos.can_consume_max_estimate()
        limit = _UNLIMITED if estimate is None else estimate
        messages = self._fetch(self._active_queues, limit, is_of_loop=True)
        for position, (queue, message) in enumerate(messages):
            deliver = self._callbacks.get(queue)
            if deliver is None:
                # The callback of another message has cancelled the consumer.
                self._give_back([(queue, message)])
                continue
            try:
                deliver(message)
                # The solo pool has run the task by now: its ack must not wait for the rest.
                self.deliveries.flush_if_decided()
            except BaseException:
                self._give_back(messages[position + 1 :])
                raise
        return len(messages)

    def has_room(self) -> bool:
        """Whether it would claim if there were something."""
        return bool(self._consumers) and self.qos.can_consume()

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many messages the channel may hold; 0: as many as there are."""
        super().basic_qos(prefetch_size, prefetch_count, apply_global)
        self._least_prefetch = min(self._least_prefetch or prefetch_count, prefetch_count)

    def is_worth_a_look(self) -> bool:
        """Whether half of what may wait in the worker is missing: one look for three costs less than three.

        Where nothing may wait, or what waits may not begin, each free slot is worth one.
        """
        if not self.has_room():
            return False
        room, slots = self.qos.can_consume_max_estimate(), self.deliveries.slots
        # Not what it is now: for each task with an ETA that it holds, Celery raises it by one.
        if room is None or slots is None or room >= (self._least_prefetch - slots) // 2:
            return True
        are_limited = self.deliveries.are_limited
        return are_limited is None or are_limited()

    def drain_events(self, timeout: float | None = None, callback: Any = None) -> None:
        if not self.poll():
            raise Empty

    def _fetch(self, queues: list[str], limit: int, *, is_of_loop: bool = False) -> list[tuple[str, Any]]:
        """Claim from the lasting queues and collect from the transient ones: (queue, message)."""
        transient = [queue for queue in queues if queue in self.connection.transient]
        lasting = list(dict.fromkeys(queue for queue in queues if queue not in self.connection.transient))
        found: list[tuple[str, Any]] = []
        if transient:
            found = self._collect(transient, limit)
        self.left_more = len(found) >= limit
        if lasting and not self.left_more:
            claimed = self._claim_or_nothing(
                lasting, limit - len(found), has_other=bool(found), is_of_loop=is_of_loop
            )
            self.left_more = self.deliveries.claims.left_more
            found += [(each.queue, message) for each in claimed if (message := self._readable(each))]
        return found

    def _claim_or_nothing(
        self, queues: list[str], limit: int, *, has_other: bool, is_of_loop: bool
    ) -> list[Claimed]:
        try:
            return self.deliveries.claim(queues, limit, is_of_loop=is_of_loop)
        except (BrokerConnectionLost, BrokerRefused):
            if has_other:
                return []  # What was collected has left its table; the next look tells of the error.
            raise

    def _collect(self, queues: list[str], limit: int) -> list[tuple[str, Any]]:
        found = []
        for row, queue, text in self.deliveries.collect(queues, limit):
            try:
                raw = _raw(text, f"{TRANSIENT_TAG}{row}-{queue}", redelivered=False)
                inflate(raw, self.decode_body)
                found.append((queue, self.Message(raw, channel=self)))
            except Exception as error:  # noqa: BLE001 - any type may be registered with kombu's JSON
                logger.error("A message of %s cannot be read and is left out: %r", queue, error)
        return found

    def _readable(self, claimed: Claimed) -> Any:
        """The message; None: it cannot be read, which no delivery would cure."""
        tag = f"{claimed.id}-{claimed.token}"
        try:
            raw = _raw(claimed.payload, tag, redelivered=claimed.deliveries > 1)
            _is_due(raw)
            inflate(raw, self.decode_body)
            return self.Message(raw, channel=self)
        except Exception as error:  # noqa: BLE001 - any type may be registered with kombu's JSON
            self.deliveries.give_up(claimed, f"{UNREADABLE}: {error!r}")
            return None

    def _give_back(self, messages: list[tuple[str, Any]]) -> None:
        for _, message in messages:
            self.qos.append(message, message.delivery_tag)
        self.qos.give_back([message.delivery_tag for _, message in messages])

    def close(self) -> None:
        """Close; what it holds is given back at once, as AMQP does it."""
        if self.closed:
            return
        self.closed = True
        for consumer in list(self._consumers):
            self.basic_cancel(consumer)
        if self._qos is not None:
            # Without the database the decision is kept, and written when it is back.
            with suppress(BrokerConnectionLost, BrokerRefused):
                self._qos.restore_unacked()
        if self.connection is not None:
            self.connection.close_channel(self)
        self.exchange_types = None


def _is_due(message: Any) -> None:
    """By the database's clock it is: a host whose clock is behind must not hold it for as long again."""
    headers = message.get("headers") or {}
    if not (eta := headers.get("eta")):
        return
    with suppress(ValueError):  # Celery's worker says so.
        if clock.parse(str(eta)) > clock.now():
            headers["eta"] = None


def _raw(text: str, tag: str, *, redelivered: bool) -> Any:
    message = payload.decode(text)
    properties = message["properties"]
    properties["delivery_tag"] = tag
    # Where Celery looks for it: `worker_deduplicate_successful_tasks` needs it.
    properties.setdefault("delivery_info", {})["redelivered"] = redelivered
    return message
