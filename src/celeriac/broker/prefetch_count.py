"""How many messages may be under way, told to RabbitMQ without waiting for its answer."""

from typing import Any

from amqp import spec
from amqp.channel import Channel

#: AMQP has 16 bits for it.
MOST = 2**16 - 1


def is_local(channel: Any) -> bool:
    """Whether only this process counts, as with Redis; so to tell costs nothing."""
    return hasattr(channel, "qos")


def tell(channel: Any, count: int) -> bool:
    """For all consumers of a channel to RabbitMQ; False: it is another broker's.

    The server takes what comes over a channel in its order: acks that are sent behind this find it done.
    Nobody waits for the answer, and py-amqp drops such a one.
    """
    if not isinstance(channel, Channel):
        return False
    channel.send_method(spec.Basic.Qos, "lBb", (0, count, True))
    return True
