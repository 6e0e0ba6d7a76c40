"""What kombu can tell and do about the queues of any broker: how many messages wait, and away with them."""

from collections.abc import Iterable
from typing import Any

from celery import Celery
from kombu.transport import virtual

from celeriac.broker.explaining import in_one_line

#: Whoever asks waits.
_CONNECT_SECONDS = 4.0


def of(app: Celery, queues: Iterable[str]) -> dict[str, int | None]:
    """The messages of each queue that nobody has taken; None: the queue is not there, or nobody can tell.

    Raises Unreachable where the broker does not answer.
    """
    with in_one_line(app), app.connection_for_read(connect_timeout=_CONNECT_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
        return {queue: _depth(connection, queue) for queue in queues}


def _depth(connection: Any, queue: str) -> int | None:
    # RabbitMQ closes the channel on which a missing queue is asked for.
    channel = connection.channel()
    try:
        if isinstance(channel, virtual.Channel):
            # To Redis an empty queue is one that is not there.
            return int(channel._size(queue))
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except (*connection.channel_errors, NotImplementedError):
        return None
    finally:
        _close(connection, channel)


def _close(connection: Any, channel: Any) -> None:
    try:
        channel.close()
    except (*connection.channel_errors, *connection.connection_errors):
        pass  # It is closed already.


def purge(app: Celery, queue: str) -> int:
    """Delete the messages of a queue that nobody has taken; how many those were. Raises Unreachable."""
    with in_one_line(app), app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_SECONDS)
        channel = connection.channel()
        try:
            return int(channel.queue_purge(queue) or 0)
        finally:
            _close(connection, channel)
