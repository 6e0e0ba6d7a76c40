"""A message as its row has it, published once more."""

from typing import Any

from kombu.transport.virtual import Base64

from celeriac.broker import outgoing
from celeriac.broker.store import store_for

#: What belongs to one delivery, or is given apart.
_NOT_AGAIN = frozenset(
    {"delivery_info", "delivery_tag", "body_encoding", "priority", "delivery_mode", "expiration"}
)
_LARGEST_OCTET = 255


def to_database(alias: str, queue: str, raw: dict[str, Any]) -> None:
    """Put it into a queue of the database, or into what collects there. Raises MessageTooLarge."""
    message = {key: value for key, value in raw.items() if key != "way"}
    if "way" in raw:
        # It was on its way to another broker.
        route = {"exchange": "", "routing_key": queue}
        message["properties"] = {"body_encoding": "utf-8", "delivery_info": route, **raw["properties"]}
    store_for(alias).publish(queue, message)


def to_other_broker(producer: Any, app: Any, queue: str, raw: dict[str, Any]) -> None:
    """Put it into a queue of another broker; of a letter of the outbox, the way that it was to go.

    A broker that knows no such queue raises, as far as it can tell.
    """
    properties, body, queues = raw["properties"], raw["body"], app.amqp.queues
    is_encoded = properties.get("body_encoding") == "base64"
    known = queues.get(queue)
    way = {"exchange": "", "routing_key": queue, "mandatory": True, **raw.get("way", {})}
    declared = outgoing.declared(way, queues) if "way" in raw else [known] if known is not None else []
    life = str(properties.get("expiration") or "")
    producer.publish(
        # Its bytes, whatever it says of their encoding.
        Base64().decode(body) if is_encoded else body.encode("utf-8", "surrogatepass"),
        exchange=way["exchange"],
        routing_key=way["routing_key"],
        declare=declared,
        mandatory=way["mandatory"],
        content_type=raw.get("content-type"),
        content_encoding=raw.get("content-encoding"),
        priority=_octet(properties.get("priority")),
        delivery_mode=_octet(properties.get("delivery_mode")),
        # kombu wants seconds, and writes milliseconds.
        expiration=int(life) / 1000 if life.isdecimal() else None,
        headers=raw.get("headers"),
        retry=app.conf.task_publish_retry,
        retry_policy=dict(app.conf.task_publish_retry_policy),
        **{key: value for key, value in properties.items() if key not in _NOT_AGAIN},
    )


def _octet(value: Any) -> int | None:
    """Another client of Redis may have written anything there."""
    return value if type(value) is int and 0 <= value <= _LARGEST_OCTET else None
