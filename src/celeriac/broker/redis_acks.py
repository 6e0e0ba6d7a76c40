"""Acks to Redis that are written together: one round trip for all that a commit lets go.

kombu removes each message from Redis' list of the unacknowledged in a transaction of its own, and waits for
its answer. It also makes a new client for each, which takes as long as a third of that round trip.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import virtual

logger = logging.getLogger(__name__)

#: Of one transaction: Redis serves nobody else meanwhile.
_AT_ONCE = 100


@contextmanager
def together(channels: Iterable[Any]) -> Iterator[None]:
    """Acks within, over those of these channels that are kombu's to Redis, are written at its end.

    Where Redis is away then, they are logged as Celery logs an ack, and their messages come again.
    """
    kept: list[tuple[Any, list[str]]] = []
    for channel in {id(channel): channel for channel in channels}.values():
        if _is_kombus(channel):
            tags: list[str] = []
            channel.qos.ack = tags.append
            kept.append((channel, tags))
    try:
        yield
    finally:
        for channel, tags in kept:
            del channel.qos.ack
            _write(channel, tags)


def keep_client(channel: Any) -> None:
    """Let a channel to Redis use one client for all its transactions: it holds no connection, only a pool."""
    if not _is_kombus(channel) or "_create_client" in vars(channel):
        return
    create = channel._create_client
    made: list[tuple[Any, Any]] = []

    def create_client(asynchronous: bool = False) -> Any:
        if asynchronous:
            return create(asynchronous=True)
        # After a fork, and at the end, the channel has another pool.
        pool = channel.pool
        if not made or made[0][0] is not pool:
            made[:] = [(pool, create())]
        return made[0][1]

    channel._create_client = create_client


def _is_kombus(channel: Any) -> bool:
    """Another class, as of a cluster, may keep what is unacknowledged in another way."""
    redis = sys.modules.get("kombu.transport.redis")
    return redis is not None and isinstance(channel, redis.Channel) and type(channel.qos) is redis.QoS


def _write(channel: Any, tags: list[str]) -> None:
    qos = channel.qos
    for first in range(0, len(tags), _AT_ONCE):
        some = tags[first : first + _AT_ONCE]
        try:
            with qos.pipe_or_acquire() as pipe:
                pipe.zrem(qos.unacked_index_key, *some).hdel(qos.unacked_key, *some).execute()
        except channel.connection_errors as error:
            logger.critical("Couldn't ack %s, reason:%r", ", ".join(some), error)
            return
        # What the channel itself knows of them: nothing waits any more.
        for tag in some:
            virtual.QoS.ack(qos, tag)
