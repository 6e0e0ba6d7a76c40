"""kombu's quality of service: how much a channel may hold, and its acks, handed to the deliveries."""

import logging
import threading
from collections.abc import Collection
from typing import Any

from kombu.transport import virtual

from celeriac.broker.declaring import BROADCAST_SECONDS
from celeriac.broker.deliveries import Held

logger = logging.getLogger(__name__)

#: Begins the tag of a message of a transient queue: it left its table when it was delivered.
TRANSIENT_TAG = "transient-"


class QoS(virtual.QoS):
    """Counts what the channel holds; the rows behind it are the deliveries' business."""

    restore_at_shutdown = False

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        # kombu's finalizer would put a second copy of every unacked message into the queue.
        self._on_collect.cancel()
        self._deliveries = channel.deliveries
        self._held: dict[str, Any] = {}
        self._lock = threading.Lock()

    def can_consume(self) -> bool:
        return not self.prefetch_count or len(self._held) < self.prefetch_count

    def can_consume_max_estimate(self) -> int | None:
        """How many more the channel may hold; None: as many as there are."""
        if not self.prefetch_count:
            return None
        return max(0, int(self.prefetch_count) - len(self._held))

    def append(self, message: Any, delivery_tag: str) -> None:
        with self._lock:
            self._held[delivery_tag] = message
        if not delivery_tag.startswith(TRANSIENT_TAG):
            row, token = delivery_tag.split("-")
            held = Held((int(row), int(token)), message.headers.get("id"), lambda: self._forget(delivery_tag))
            self._deliveries.hold(delivery_tag, held)

    def get(self, delivery_tag: str) -> Any:
        return self._held[delivery_tag]

    def ack(self, delivery_tag: str) -> None:
        if delivery_tag.startswith(TRANSIENT_TAG):
            self._forget(delivery_tag)
        else:
            self._deliveries.ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if delivery_tag.startswith(TRANSIENT_TAG):
            self._reject_transient(delivery_tag, requeue=requeue)
        elif requeue:
            self._deliveries.requeue(delivery_tag)
        else:
            self.bury(delivery_tag, "rejected by the worker")

    def bury(self, delivery_tag: str, reason: str) -> None:
        """Move a message to the dead letters; of a transient queue's nothing is kept."""
        if delivery_tag.startswith(TRANSIENT_TAG):
            logger.error("A message of a transient queue is left out: %s.", reason)
            self._forget(delivery_tag)
        else:
            self._deliveries.bury(delivery_tag, reason)

    def give_back(self, delivery_tags: Collection[str]) -> None:
        """Return messages that nobody began with; the delivery does not count."""
        for tag in delivery_tags:
            if tag.startswith(TRANSIENT_TAG):
                self._reject_transient(tag, requeue=True)
        self._deliveries.release(tag for tag in delivery_tags if not tag.startswith(TRANSIENT_TAG))

    def restore_unacked(self) -> list[Any]:
        """Return everything that is held."""
        with self._lock:
            held = list(self._held)
        self.give_back(held)
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Nothing to copy: the rows are still there, and are given back as rows."""

    def _reject_transient(self, delivery_tag: str, *, requeue: bool) -> None:
        message = self._forget(delivery_tag)
        if requeue and message is not None:
            queue = delivery_tag.split("-", 2)[2]
            self.channel.store.broadcast([queue], message.serializable(), BROADCAST_SECONDS)

    def _forget(self, delivery_tag: str) -> Any:
        with self._lock:
            return self._held.pop(delivery_tag, None)
