"""A message as its row has it, published once more."""

from typing import Any

from kombu.transport.virtual import Base64

from celeriac.broker.store import store_for

#: What belongs to one delivery, or is the channel's own affair.
_NOT_AGAIN = frozenset({"delivery_info", "delivery_tag", "body_encoding", "priority", "delivery_mode"})


def to_database(alias: str, queue: str, raw: dict[str, Any]) -> None:
    """Put it into a queue of the database, or into what collects there. Raises MessageTooLarge."""
    store_for(alias).publish(queue, raw)


def to_other_broker(producer: Any, queue: str, raw: dict[str, Any]) -> None:
    """Put it into a queue of another broker."""
    properties, body = raw["properties"], raw["body"]
    is_encoded = properties.get("body_encoding") == "base64"
    producer.publish(
        Base64().decode(body) if is_encoded else body,
        exchange="",
        routing_key=queue,
        content_type=raw.get("content-type"),
        content_encoding=raw.get("content-encoding"),
        priority=properties.get("priority"),
        delivery_mode=properties.get("delivery_mode"),
        headers=raw.get("headers"),
        retry=True,
        **{key: value for key, value in properties.items() if key not in _NOT_AGAIN},
    )
