"""RabbitMQ tells when it has a message, and whoever publishes a task waits for that.

Without it a publish is a write into a socket: what the server never saw, because it went away in between,
counts as sent. Not by the transport's option `confirm_publish`: that would be for every connection of a
worker, and without a limit, so that the loop would wait for ever on a server that falls silent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

#: How long a silent server is waited for; then the connection is lost.
_SECONDS = 4.0


@contextmanager
def confirming(producer: Any) -> Iterator[None]:
    """Let what this producer publishes within be confirmed, where its broker can.

    A transport option `confirm_publish` of the user's that is False leaves it out.
    """
    connection = producer.connection
    if not _can_confirm(connection):
        yield
        return
    publish = producer._publish

    def confirmed(*message: Any) -> Any:
        # Here, for the producer may have a new channel after the loss of a connection; and first, for that
        # connects within kombu's own limits. To ask the connection for itself tries twice more.
        channel = producer.channel
        with _bounded(connection):
            _confirm(channel)
            return publish(*message)

    producer._publish = confirmed
    try:
        yield
    finally:
        del producer._publish


def _can_confirm(connection: Any) -> bool:
    if connection is None or connection.transport.driver_type != "amqp":
        return False
    return connection.transport_options.get("confirm_publish") is not False


def _confirm(channel: Any) -> None:
    """For the rest of its life: a confirmation that nobody waits for would be taken for the next one's."""
    if getattr(channel, "celeriac_confirms", False) or not hasattr(channel, "basic_publish_confirm"):
        return
    channel.basic_publish = partial(_publish, channel)
    channel.celeriac_confirms = True


@contextmanager
def _bounded(connection: Any) -> Iterator[None]:
    """Wait for each answer so long at the most: that to a declaration has no limit of its own."""
    # None where an outage has closed it: kombu leaves it so in its pool, and connects when it is used.
    underlying = connection.connection or connection.connect()
    try:
        with underlying.transport.having_timeout(_SECONDS):
            yield
    except TimeoutError:
        # The answer may come yet, and the next message must not take it for its own.
        connection.collect()
        raise


def _publish(
    channel: Any,
    *message: Any,
    confirm_timeout: float | None = None,
    timeout: float | None = None,
    **way: Any,
) -> Any:
    seconds = confirm_timeout or timeout or _SECONDS
    return channel.basic_publish_confirm(*message, confirm_timeout=seconds, timeout=timeout, **way)
