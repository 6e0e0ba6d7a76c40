"""What Celery's consumer would delete is kept: each message that no worker can run becomes a dead letter.

Celery acknowledges a body that it cannot decode, rejects a content type that is not accepted and a
message that is no task's, and ends the worker by a header of the wrong type. Here the exact message goes to
the dead letters, on every broker, and the task ends as FAILURE where its id can be read.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import bootsteps, signals
from celery.worker import state

from celeriac.broker import address, letter
from celeriac.broker.channel import Channel
from celeriac.database.failures import first_line
from celeriac.dead_letters import UNREADABLE, dead_lettered
from celeriac.results.tables import storable
from celeriac.worker import fitness, keeping, poison

logger = logging.getLogger(__name__)

_LONGEST_REASON = 500
#: What Celery's code raises over a message that is not what it expects.
_OF_DATA = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Refusals(bootsteps.Step):
    """A part of the worker's consumer, there before its first connection."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        handler = type(consumer).create_task_handler
        consumer.create_task_handler = lambda: _guarded(consumer, handler(consumer))
        consumer.on_decode_error = lambda message, error: refuse(consumer, message, first_line(error), error)
        consumer.on_invalid_task = lambda _, message, error: refuse(
            consumer, message, first_line(error), error
        )
        consumer.on_unknown_message = lambda _, message: refuse(consumer, message, "it is no task's message")


def refuse(consumer: Any, message: Any, fault: str, error: Exception | None = None) -> None:
    """Keep a message as a dead letter, and end its task."""
    reason = storable(f"{UNREADABLE}: {fault}", _LONGEST_REASON)
    give_up(consumer, message, reason)
    signals.task_rejected.send(sender=consumer, message=message, exc=error)


def give_up(consumer: Any, message: Any, reason: str, deliveries: int = 1) -> None:
    """Keep a message that was delivered as a dead letter, in the consumer's own thread."""
    task_id, name = fitness.task_id_of(message), fitness.task_name_of(message)
    text = letter.text_of(message)
    tell = partial(_tell, task_id, name, reason, text)
    if isinstance(message.channel, Channel):
        # The row itself moves to the dead letters.
        message.channel.qos.bury(message.delivery_tag, reason)
        tell()
    else:
        keeping.keep(consumer, message, text, reason, tell, deliveries=deliveries)


def _tell(task_id: str | None, name: str | None, reason: str, text: str) -> None:
    if task_id is not None:
        dead_lettered.send_robust(Refusals, task_id=task_id, task_name=name, reason=reason, payload=text)


def _guarded(consumer: Any, handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Celery's handler of messages, whom no message can bring down."""
    strategies = consumer.strategies

    def received(message: Any) -> Any:
        try:
            fault = fitness.fault_of(message, strategies)
            if fault is None:
                return handle(message)
        except _OF_DATA as error:
            if _is_taken(message) or isinstance(error, _of_connection(consumer)):
                raise
            fault = repr(error)
        return refuse(consumer, message, fault)

    return received if address.alias_of(consumer.app) is not None else _capped(consumer, received)


def _capped(consumer: Any, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """On RabbitMQ and Redis: no more deliveries than MAX_DELIVERIES. A database counts them itself."""
    giving_up = partial(give_up, consumer)

    def received(message: Any) -> Any:
        if poison.is_back(message):
            return poison.judge(consumer, message, run, giving_up)
        return run(message)

    return received


def _is_taken(message: Any) -> bool:
    """Whether Celery has made a task of it: what failed then is not the message's fault."""
    return any(request._message is message for request in list(state.requests.values()))


def _of_connection(consumer: Any) -> tuple[type[BaseException], ...]:
    return (*consumer.connection_errors, *consumer.channel_errors)
