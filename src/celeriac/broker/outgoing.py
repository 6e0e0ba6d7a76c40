"""A message for a broker that is no database, as text: all that kombu's producer was about to send, and back.

The text has the form of a message of ours, and beside it what only the way to that broker needs.
"""

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from kombu import Exchange, Queue
from kombu.exceptions import EncodeError

from celeriac.broker import payload


class Outgoing(NamedTuple):
    """The arguments of kombu's `Producer._publish`, the same from 5.5 to 5.7."""

    body: Any
    priority: int | None
    content_type: str
    content_encoding: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    routing_key: str
    mandatory: bool
    immediate: bool
    exchange: str
    declare: list[Any]
    timeout: float | None = None
    confirm_timeout: float | None = None
    retry: bool = False
    retry_policy: dict[str, Any] | None = None


def encode(message: Outgoing, queues: Mapping[str, Any]) -> str:
    """The message as JSON text; `queues` are the app's. Raises EncodeError, MessageTooLarge."""
    body, properties = message.body, {**message.properties, "priority": message.priority}
    if isinstance(body, bytes):
        properties["body_encoding"] = "base64"
        body = base64.b64encode(body).decode()
    if isinstance(properties.get("reply_to"), Queue):
        properties["reply_to"] = properties["reply_to"].name
    try:
        return payload.encode(
            {
                "body": body,
                "content-type": message.content_type,
                "content-encoding": message.content_encoding,
                "headers": message.headers,
                "properties": properties,
                "way": {
                    "exchange": message.exchange,
                    "routing_key": message.routing_key,
                    "mandatory": message.mandatory,
                    "immediate": message.immediate,
                    "timeout": message.timeout,
                    "confirm_timeout": message.confirm_timeout,
                    "declare": [_as_text(entity, queues) for entity in message.declare or ()],
                },
            }
        )
    except TypeError as error:
        raise EncodeError(f"its headers or properties are more than JSON can hold ({error})") from error


def decode(text: str, queues: Any) -> Outgoing:
    """The message behind the text; `queues` are the app's. Raises whatever is wrong with it, in any way."""
    message = payload.decode(text)
    way, properties = message["way"], message["properties"]
    body, priority = message["body"], properties.pop("priority")
    if properties.pop("body_encoding", None) == "base64":
        body = base64.b64decode(body)
    return Outgoing(
        body,
        priority,
        message["content-type"],
        message["content-encoding"],
        message["headers"],
        properties,
        way["routing_key"],
        way["mandatory"],
        way["immediate"],
        way["exchange"],
        declared(way, queues),
        way["timeout"],
        way["confirm_timeout"],
    )


def declared(way: Mapping[str, Any], queues: Any) -> list[Any]:
    """The queues and exchanges that its way needs."""
    return [_as_entity(each, queues) for each in way["declare"]]


def _as_text(entity: Any, queues: Any) -> Any:
    """A queue of the settings by its name, for there it is the same; any other with all that it is."""
    if isinstance(entity, str):
        return entity
    if queues.get(entity.name) is entity:
        return str(entity.name)
    return {"kind": type(entity).__name__, **_said(entity.as_dict(recurse=True))}


def _said(attributes: Mapping[str, Any]) -> dict[str, Any]:
    # Bindings beside its own are objects; what has them is declared by the settings.
    return {
        name: _said(value) if isinstance(value, Mapping) and name == "exchange" else value
        for name, value in attributes.items()
        if value is not None and name != "bindings"
    }


def _as_entity(said: Any, queues: Any) -> Any:
    if isinstance(said, str):
        # Not by `queues[…]`: a queue that is missing there would be read by this worker from then on.
        known = queues.get(said)
        return queues.new_missing(said) if known is None else known
    attributes = dict(said)
    kind = attributes.pop("kind")
    if kind == "Exchange":
        return Exchange(**attributes)
    exchange = attributes.pop("exchange", None)
    return Queue(exchange=Exchange(**exchange) if exchange else None, **attributes)
