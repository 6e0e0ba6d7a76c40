"""A kombu channel over the tables: this file is the part that consumes."""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

from celeriac.broker import payload
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.publishing import Publishing
from celeriac.broker.qos import TRANSIENT_TAG, QoS
from celeriac.broker.queries.base import Claimed

#: Messages claimed at once when the prefetch count sets no limit.
_UNLIMITED = 100


class Channel(Publishing):
    """Consumes on the broker's own connection; closing gives back what it holds."""

    QoS = QoS
    do_restore = False
    closed: bool

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

        def deliver(raw_message: Any) -> None:
            message = self.Message(raw_message, channel=self)
            self.qos.append(message, message.delivery_tag)
            if no_ack:
                self.qos.ack(message.delivery_tag)
            callback(message)

        self._callbacks[queue] = deliver
        self.connection.on_consume()

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop delivering to a consumer; what it holds stays held."""
        if consumer_tag in self._consumers:
            self._consumers.remove(consumer_tag)
            queue = self._tag_to_queue.pop(consumer_tag)
            self._active_queues.remove(queue)
            if queue not in self._active_queues:
                self._callbacks.pop(queue, None)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """One message of the queue, or None."""
        raw = next(iter(self._fetch([queue], 1)), None)
        if raw is None:
            return None
        message = self.Message(raw[1], channel=self)
        self.qos.append(message, message.delivery_tag)
        if no_ack:
            self.qos.ack(message.delivery_tag)
        return message

    def poll(self) -> int:
        """Claim what may be held and deliver it; how many messages that were."""
        if not self._consumers or not self.qos.can_consume():
            return 0
        estimate = self.qos.can_consume_max_estimate()
        messages = self._fetch(self._active_queues, _UNLIMITED if estimate is None else estimate)
        for position, (queue, raw) in enumerate(messages):
            try:
                self._callbacks[queue](raw)
            except BaseException:
                self._give_back(messages[position + 1 :])
                raise
        return len(messages)

    def drain_events(self, timeout: float | None = None, callback: Any = None) -> None:
        if not self.poll():
            raise Empty

    def _fetch(self, queues: list[str], limit: int) -> list[tuple[str, Any]]:
        """Claim from the lasting queues and collect from the transient ones: (queue, raw message)."""
        transient = [queue for queue in queues if queue in self.connection.transient]
        lasting = list(dict.fromkeys(queue for queue in queues if queue not in self.connection.transient))
        found: list[tuple[str, Any]] = []
        if transient:
            for row, queue, text in self.deliveries.collect(transient, limit):
                found.append((queue, _raw(text, f"{TRANSIENT_TAG}{row}-{queue}", redelivered=False)))
        if lasting and len(found) < limit:
            claimed = self.deliveries.claim(lasting, limit - len(found))
            found += [(each.queue, raw) for each in claimed if (raw := self._readable(each)) is not None]
        return found

    def _readable(self, claimed: Claimed) -> Any:
        """The raw message; None: a header is of a type that cannot be read, which no delivery would cure."""
        tag = f"{claimed.id}-{claimed.token}"
        try:
            return _raw(claimed.payload, tag, redelivered=claimed.deliveries > 1)
        except Exception as error:  # noqa: BLE001 - any type may be registered with kombu's JSON
            self.deliveries.give_up(claimed, f"cannot be read: {error!r}")
            return None

    def _give_back(self, messages: list[tuple[str, Any]]) -> None:
        for _, raw in messages:
            message = self.Message(raw, channel=self)
            self.qos.append(message, message.delivery_tag)
        self.qos.give_back([raw["properties"]["delivery_tag"] for _, raw in messages])

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


def _raw(text: str, tag: str, *, redelivered: bool) -> Any:
    message = payload.decode(text)
    properties = message["properties"]
    properties["delivery_tag"] = tag
    # Where Celery looks for it: `worker_deduplicate_successful_tasks` needs it.
    properties.setdefault("delivery_info", {})["redelivered"] = redelivered
    return message
