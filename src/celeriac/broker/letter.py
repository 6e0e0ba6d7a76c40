"""A message that a consumer was handed, as the text that its row would have, of any broker."""

import json
from collections.abc import Iterator
from typing import Any

from kombu import compression
from kombu.transport.virtual import Base64
from kombu.utils.json import dumps

#: Properties of one delivery, and those that stand elsewhere in the text.
_LEFT_OUT = frozenset(
    {
        "application_headers",
        "body_encoding",
        "content_encoding",
        "content_type",
        "delivery_info",
        "delivery_tag",
    }
)
_ROUTE = ("exchange", "routing_key")


def text_of(message: Any) -> str:
    """The exact message: body, headers, properties and route. Never raises, whatever the message is."""
    headers, body = message.headers, _bytes(message.body)
    try:
        kind = headers.get("compression")
        if kind and not message.errors:
            # kombu has inflated it.
            body, _ = compression.compress(body, kind)
    except Exception:  # noqa: BLE001 - headers may be anything, and so may be what they name
        kind = None
    text, encoding = _as_text(body, is_binary=bool(kind))
    properties = message.properties if isinstance(message.properties, dict) else {}
    route = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    whole = {
        "body": text,
        "content-encoding": message.content_encoding,
        "content-type": message.content_type,
        "headers": headers,
        "properties": {
            **{name: value for name, value in properties.items() if name not in _LEFT_OUT},
            "body_encoding": encoding,
            "delivery_info": {name: route[name] for name in _ROUTE if name in route},
        },
    }
    try:
        return str(dumps(whole))
    except Exception:  # noqa: BLE001 - other clients' headers may hold what JSON has no word for
        return json.dumps(_plain(whole), skipkeys=True, default=repr)


def queue_of(message: Any, consumer: Any) -> str:
    """The queue that it came from, of those that kombu's consumer reads; else what its route says.

    The routing key is no queue's name where a queue is bound to an exchange by another key, or by a pattern.
    """
    route = message.delivery_info if isinstance(message.delivery_info, dict) else {}
    exchange, key = str(route.get("exchange") or ""), str(route.get("routing_key") or "")
    if consumer is None:
        names = []  # It has just been closed.
    elif (tag := route.get("consumer_tag")) is not None:
        names = [name for name, its_tag in consumer._active_tags.items() if its_tag == tag]
    elif exchange:
        names = list(_matching(message.channel, consumer.queues, exchange, key))
    else:
        names = []
    return str(names[0]) if names else key or exchange


def _matching(channel: Any, queues: list[Any], exchange: str, key: str) -> Iterator[str]:
    """As a virtual transport would route it."""
    kind = channel.typeof(exchange)
    for queue in queues:
        if queue.exchange.name == exchange:
            table = [kind.prepare_bind(queue.name, exchange, queue.routing_key or "", None)]
            yield from kind.lookup(table, exchange, key, None)


def _as_text(body: bytes, *, is_binary: bool) -> tuple[str, str]:
    if not is_binary:
        try:
            return body.decode(), "utf-8"
        except UnicodeDecodeError:
            pass
    return str(Base64().encode(body)), "base64"


def _bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return b"" if body is None else bytes(body)


def _plain(whole: dict[str, Any]) -> dict[str, Any]:
    """With headers that are nested too deep for a writer as they look."""
    try:
        json.dumps(whole["headers"], skipkeys=True, default=repr)
    except (RecursionError, ValueError):
        return {**whole, "headers": {}}
    return whole
