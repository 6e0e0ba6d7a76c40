"""Sending one message to a broker that is no database: within seconds, or the reason why not."""

import time
from typing import Any

from amqp.exceptions import MessageNacked
from kombu.exceptions import InconsistencyError, OperationalError

from celeriac.broker.confirming import confirming
from celeriac.broker.outgoing import Outgoing

#: What AMQP says of a message that no repetition makes better: not allowed, no such exchange, another one
#: of that name. https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants
_FINAL_CODES = frozenset({403, 404, 406})
#: A connection that was lost while nobody used it tells so at once; whoever waited longer has an outage.
_AT_ONCE_SECONDS = 1.0


class Away(Exception):
    """The broker cannot be reached now; no message can be sent."""


class Refused(Exception):
    """The broker does not take this message now; others it may."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        #: Whether it never will, as long as nobody changes the broker or the settings.
        self.is_final = is_final


def send(producer: Any, message: Outgoing) -> None:
    """Send it, over a new connection when the old one is lost. Raises Away, Refused."""
    started = time.monotonic()
    try:
        _send(producer, message)
    except Away:
        _begin_anew(producer)
        if time.monotonic() - started > _AT_ONCE_SECONDS:
            raise
        try:
            _send(producer, message)
        except Away:
            _begin_anew(producer)
            raise


def _send(producer: Any, message: Outgoing) -> None:
    connection = producer.connection
    try:
        # Each host once: without a limit kombu tries for ever.
        connection.ensure_connection(
            max_retries=max(0, len(connection.alt) - 1), interval_start=0, interval_step=0, interval_max=0
        )
        with confirming(producer):
            producer._publish(*message._replace(retry=False, retry_policy={}))
    except InconsistencyError as error:
        # Redis' word for an exchange that has no queues; kombu counts it among the losses of connections.
        raise Refused(_text(error), is_final=True) from error
    except (OperationalError, OSError, *connection.connection_errors) as error:
        raise Away(_text(error)) from error
    except MessageNacked as error:
        raise Refused("the queue takes no more", is_final=False) from error
    except connection.channel_errors as error:
        _begin_anew(producer)
        raise Refused(_text(error), is_final=getattr(error, "code", 0) in _FINAL_CODES) from error
    except Exception as error:
        # kombu could not make a message of it.
        raise Refused(f"{type(error).__name__}: {_text(error)}", is_final=True) from error


def _begin_anew(producer: Any) -> None:
    producer.connection.collect()
    producer.revive(producer.connection)


def _text(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
