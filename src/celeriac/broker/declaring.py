"""The part of a channel that declares: queues, bindings, and which of them vanish with their reader."""

from dataclasses import dataclass
from typing import Any

from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.utils.uuid import uuid

from celeriac.broker import clock
from celeriac.broker.queries.base import STEP
from celeriac.broker.queries.routing import Bound

#: A transient queue without x-expires: how long it outlives its last reader.
TRANSIENT_SECONDS = 60.0
#: A message in a transient queue without x-message-ttl: remote control, replies, events.
BROADCAST_SECONDS = 60.0
#: A task in one, as kombu's Broadcast queues hold them: its worker may be busy for long.
BROADCAST_TASK_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Transient:
    """A queue that vanishes with its reader: remote control, replies, events."""

    expires_seconds: float
    message_seconds: float


class Declaring(virtual.Channel):
    """Declarations are rows, so that they hold for every process."""

    store: Any

    def prepare_queue_arguments(self, arguments: Any, **kwargs: Any) -> Any:
        """kombu's `expires` and `message_ttl` under RabbitMQ's names; a virtual channel drops them."""
        return to_rabbitmq_queue_arguments(arguments, **kwargs)

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        arguments = kwargs.get("arguments") or {}
        message_ttl = arguments.get("x-message-ttl")
        # A durable queue with x-expires holds tasks: those are never lost.
        if kwargs.get("exclusive") or kwargs.get("auto_delete"):
            self.connection.transient[queue] = Transient(
                (arguments.get("x-expires") or TRANSIENT_SECONDS * 1000) / 1000,
                (message_ttl or BROADCAST_SECONDS * 1000) / 1000,
            )
            # As in AMQP every queue is bound to the default exchange: who answers by the queue's name
            # alone (Celery's rpc:// results) must find out that it is transient.
            self.state.binding_declare(queue, "", queue, None)
            self.store.bind(self._bound(queue, "", queue))
        else:
            self.connection.transient.pop(queue, None)
            self.store.declare_queue(queue, message_ttl)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue in self.connection.transient or self.store.has_queue(queue)

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> Any:
        """Declare a queue; a passive declaration only asks, and changes nothing."""
        if not passive:
            queue = queue or f"amq.gen-{uuid()}"
            self._new_queue(queue, **kwargs)
            # No count: on SQLite a read would begin the transaction that the publish must begin.
            return virtual.base.queue_declare_ok_t(queue, 0, 0)
        if not self._has_queue(queue or "", **kwargs):
            return super().queue_declare(queue, True, **kwargs)
        return virtual.base.queue_declare_ok_t(queue, self._size(queue or ""), 0)

    def _size(self, queue: str) -> int:
        # Bounded: every declaration asks, and a backlog may have millions.
        return self.store.size(queue, 10 * STEP)

    def _purge(self, queue: str) -> int:
        return self.store.purge(queue)

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """Delete a queue for every process, whoever declared it."""
        if if_empty and self._size(queue):
            return
        self.state.queue_bindings_delete(queue)
        self.connection.transient.pop(queue, None)
        self.store.delete_queue(queue)

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        """Bind a queue to an exchange, for every process."""
        exchange = exchange or "amq.direct"
        self.state.binding_declare(queue, exchange, routing_key, arguments)
        self.store.bind(self._bound(queue, exchange, routing_key))

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Any = None,
        **kwargs: Any,
    ) -> None:
        self.state.binding_delete(queue, exchange, routing_key)
        self.store.unbind(exchange or "amq.direct", routing_key, queue)

    def renew_bindings(self) -> None:
        """Move on the expiry of the transient queues that this channel reads."""
        for queue in self._active_queues:
            if queue in self.connection.transient:
                for binding in self.state.queue_bindings(queue):
                    self.store.bind(self._bound(queue, binding.exchange, binding.routing_key))

    def _bound_here(self, exchange: str) -> list[Bound]:
        """The bindings that this connection declared, whatever became of the transaction it was in."""
        keys = [key for key in self.state.bindings if key.exchange == exchange]
        return [self._bound(key.queue, exchange, key.routing_key) for key in keys]

    def _bound(self, queue: str, exchange: str, routing_key: str) -> Bound:
        transient = self.connection.transient.get(queue)
        expires_at = clock.now() + clock.seconds(transient.expires_seconds) if transient else None
        return Bound(
            exchange, self._type_name(exchange), routing_key, queue, transient is not None, expires_at
        )

    def _type_name(self, exchange: str) -> str:
        declared = self.state.exchanges.get(exchange)
        return str(declared["type"]) if declared else "direct"
