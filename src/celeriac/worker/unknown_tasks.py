"""Tasks that this worker does not know, as in a rolling deploy: their messages are for workers that do.

Celery deletes them. On a database they go back, and this worker claims them no more (`broker/left_out`). On
RabbitMQ and Redis nobody can choose: there a message is held back for a moment and then returned, for ever
longer moments, so that a worker that knows the task has it soon and nothing goes round in circles. A dead
letter at once would end each task of a deploy as FAILURE.
"""

import logging
import random
import time
from functools import partial
from typing import Any

from celery import bootsteps, signals
from celery.worker.consumer.tasks import Tasks

from celeriac.broker.channel import Channel
from celeriac.broker.left_out import LeftOut
from celeriac.broker.qos import TRANSIENT_TAG
from celeriac.conf import options
from celeriac.dead_letters import UNKNOWN_TASK
from celeriac.models import LONG_NAME_LENGTH
from celeriac.worker import fitness, refusals

logger = logging.getLogger(__name__)

#: Looks at what is left out; more often where it is given up soon.
_LOOK_SECONDS, _LOOKS = 30.0, 4
#: How long a message is held back: a part of the time since it came for the first time, within these bounds.
_SHORTEST_SECONDS, _LONGEST_SECONDS, _PART = 1.0, 5.0, 8
#: A quorum queue of RabbitMQ 4 drops a message that was returned twenty times, and says how often it was.
_RETURNS, _MOST_RETURNS, _LONGEST_OF_QUORUM_SECONDS, _PART_OF_QUORUM = "x-delivery-count", 15, 300.0, 2
#: With more than that in its hands this worker takes no others, and leaves them to those that know them.
#: RabbitMQ returns a message to its old place, in front of those that the worker knows.
_MOST_HELD, _MOST_HELD_OF_AMQP = 50, 500
_MOST_REMEMBERED = 10_000


class UnknownTasks(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        consumer.on_unknown_task = partial(self._on_unknown, consumer)
        self._left_out: LeftOut | None = None
        self._timer: Any = None
        #: By the id: when each was met for the first time here.
        self._met: dict[str, float] = {}
        self._held = 0

    def start(self, consumer: Any) -> None:
        """Look, now and then, at what is left out."""
        self._held = 0
        deliveries = getattr(consumer.connection.transport, "deliveries", None)
        if deliveries is not None:
            if self._left_out is None:
                self._left_out = LeftOut(deliveries)
            seconds = min(_LOOK_SECONDS, options().unknown_task_seconds / _LOOKS)
            self._timer = consumer.timer.call_repeatedly(seconds, self._look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, consumer: Any) -> None:
        if self._left_out is not None and consumer.task_consumer is not None:
            queues = [queue.name for queue in consumer.task_consumer.queues]
            self._left_out.look(queues, _known(consumer))

    def _on_unknown(self, consumer: Any, body: Any, message: Any, error: Exception) -> None:
        name = fitness.task_name_of(message) or _name_in(message)
        if name is None:
            return refusals.refuse(consumer, message, "its task has no name")
        task_id = fitness.task_id_of(message)
        signals.task_unknown.send(sender=consumer, message=message, exc=error, name=name, id=task_id)
        if isinstance(message.channel, Channel):
            return self._leave(consumer, message, name)
        return self._hold_back(consumer, message, name, task_id)

    def _leave(self, consumer: Any, message: Any, name: str) -> None:
        tag = message.delivery_tag
        if tag.startswith(TRANSIENT_TAG) or self._left_out is None:
            # It would come back to nobody but this worker.
            return refusals.give_up(consumer, message, f"{UNKNOWN_TASK} {name}")
        if self._left_out.meet(tag.partition("-")[0], name, _known(consumer)):
            return message.channel.qos.give_back([tag])
        return refusals.give_up(consumer, message, f"{UNKNOWN_TASK} {name}")

    def _hold_back(self, consumer: Any, message: Any, name: str, task_id: str | None) -> None:
        key = task_id or str(message.delivery_tag)
        now = time.monotonic()
        if key not in self._met:
            if len(self._met) >= _MOST_REMEMBERED:
                self._met.clear()
            logger.warning("Task %s[%s] is not known here and goes back for another worker.", name, key)
        age = now - self._met.setdefault(key, now)
        returned = message.headers.get(_RETURNS)
        is_worn = isinstance(returned, int) and returned >= _MOST_RETURNS
        if age >= options().unknown_task_seconds or is_worn:
            self._met.pop(key, None)
            return refusals.give_up(consumer, message, f"{UNKNOWN_TASK} for {age:.0f} s")
        # As for a task with an ETA: others must not wait for it.
        is_amqp = consumer.connection.transport.driver_type == "amqp"
        is_beside = self._held < (_MOST_HELD_OF_AMQP if is_amqp else _MOST_HELD)
        if is_beside:
            self._held += 1
            consumer.qos.increment_eventually()
        seconds = _pause(age, is_counted=returned is not None)
        go_back = partial(self._go_back, consumer, consumer.connection, message, is_beside=is_beside)
        consumer.timer.call_after(seconds, consumer.call_soon, (go_back,))
        return None

    def _go_back(self, consumer: Any, connection: Any, message: Any, *, is_beside: bool) -> None:
        if consumer.connection is not connection:
            return  # The broker has it back already.
        if is_beside:
            self._held -= 1
            consumer.qos.decrement_eventually()
        errors = (*consumer.connection_errors, *consumer.channel_errors)
        message.reject_log_error(logger, errors, requeue=True)


def _pause(age: float, *, is_counted: bool) -> float:
    longest, part = (_LONGEST_OF_QUORUM_SECONDS, _PART_OF_QUORUM) if is_counted else (_LONGEST_SECONDS, _PART)
    # Returned one by one every other goes to a worker that knows it; of many at once it has room for few.
    return min(max(age / part, _SHORTEST_SECONDS), longest) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


def _known(consumer: Any) -> list[str]:
    """As the column of a message has the names."""
    return [name[:LONG_NAME_LENGTH] for name in consumer.strategies]


def _name_in(message: Any) -> str | None:
    """The name in a message of task protocol 1."""
    try:
        return str(message.payload["task"])
    except (TypeError, LookupError):
        return None
