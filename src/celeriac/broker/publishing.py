"""The part of a channel that publishes: which queues a message goes to, and in which table it waits."""

from typing import Any

from celeriac.broker import apart
from celeriac.broker.declaring import (
    BROADCAST_SECONDS,
    BROADCAST_TASK_SECONDS,
    TRANSIENT_SECONDS,
    Declaring,
    Transient,
)
from celeriac.broker.errors import BrokerRefused
from celeriac.broker.queries.routing import Bound


class Publishing(Declaring):
    """Publishes on the caller's connection, in the caller's transaction."""

    supports_fanout = True

    def get_table(self, exchange: str) -> list[Any]:
        """The bindings of an exchange as kombu's exchange types read them."""
        return self._table(exchange, self.store.bindings(exchange))

    def typeof(self, exchange: str, default: str = "direct") -> Any:
        """The type of an exchange, also of one that only another process has declared."""
        if exchange not in self.state.exchanges and (bound := self.store.bindings(exchange)):
            return self.exchange_types[bound[0].exchange_type]
        return super().typeof(exchange, default)

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        if not exchange:
            return [routing_key or default or self.deadletter_queue]
        # Another process may have bound the queue less than a second ago: a reply that was asked for
        # must not be lost to an old table.
        for fresh in (False, True):
            table = self._table(exchange, self.store.bindings(exchange, fresh=fresh))
            if queues := self.typeof(exchange).lookup(table, exchange, routing_key, None):
                return list(queues)
            if self._type_name(exchange) == "topic" and not self._bound_here(exchange):
                break  # Events that nobody reads come every two seconds from every worker.
        own = self._bound_again(exchange)
        if queues := self.typeof(exchange).lookup(self._table(exchange, own), exchange, routing_key, None):
            return list(queues)
        return [default or self.deadletter_queue] if default or self.deadletter_queue else []

    def _bound_again(self, exchange: str) -> list[Bound]:
        """What this connection bound in a transaction that is still open, or was rolled back.

        kombu declares once per connection and would not do it again. What was committed and is there no more,
        somebody has deleted.
        """
        own = [bound for bound in self._bound_here(exchange) if self.store.is_unsure(bound)]
        for bound in own:
            self.store.bind(bound)
        return own

    def _table(self, exchange: str, bound: list[Bound]) -> list[Any]:
        prepare = self.typeof(exchange).prepare_bind
        return [prepare(each.queue, exchange, each.routing_key, None) for each in bound]

    def basic_publish(self, message: Any, exchange: str, routing_key: str, **kwargs: Any) -> None:
        """Publish in the caller's transaction; a task that no queue would get is an error."""
        self._inplace_augment_message(message, exchange, routing_key)
        if exchange and self.typeof(exchange).type == "fanout":
            if apart.is_waited_for(exchange, message):
                self.store.ask(exchange, message, _lifetime(message))
                return
            self._put_fanout(exchange, message, routing_key)
            return
        queues = self._lookup(exchange, routing_key)
        if not queues and _is_task(message):
            raise BrokerRefused(
                f"No queue is bound to exchange {exchange!r} with routing key {routing_key!r}: "
                "the task would be lost. Declare the queue in CELERY_TASK_QUEUES."
            )
        for queue in queues:
            self._put(queue, message)

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        transient = self._transient(queue, message)
        if transient is None:
            self.store.publish(queue, message)
        else:
            self.store.broadcast([queue], message, transient.message_seconds)

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        bound = self.store.bindings(exchange, fresh=True) or self._bound_again(exchange)
        transient = [each.queue for each in bound if each.is_transient]
        if transient:
            self.store.broadcast(transient, message, _lifetime(message))
        for each in bound:
            if not each.is_transient:
                self.store.publish(each.queue, message)

    def _transient(self, queue: str, message: Any) -> Transient | None:
        if queue in self.connection.transient:
            return self.connection.transient[queue]
        exchange = message["properties"]["delivery_info"].get("exchange")
        if not exchange and _is_task(message):
            return None  # The way of nearly every task: no question about its queue.
        bound = self.store.bindings(exchange) if exchange else self.store.default_bindings(queue)
        if any(each.is_transient for each in bound if each.queue == queue):
            return Transient(TRANSIENT_SECONDS, _lifetime(message))
        return None

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str]:
        """Text goes into the text column as it is; only bytes need base64."""
        if isinstance(body, str):
            return body, "utf-8"
        return super().encode_body(body, "base64")


def _is_task(message: Any) -> bool:
    return "task" in (message.get("headers") or {})


def _lifetime(message: Any) -> float:
    """Seconds that a message of a transient queue may wait, where the queue does not say."""
    return BROADCAST_TASK_SECONDS if _is_task(message) else BROADCAST_SECONDS
