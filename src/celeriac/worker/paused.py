"""A worker takes nothing from queues that are paused, on every broker.

It looks when remote control listens, before its first task; when it is told; and now and then, for a message
of remote control may be lost. What it had taken before runs.
"""

import logging
from typing import Any

from celery import bootsteps
from celery.worker.consumer.control import Control
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import control_command
from django.db import Error, connections

from celeriac.broker import paused
from celeriac.control import LOOK_AT_PAUSED
from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0

#: The queues that this worker has left because they are paused; its consumer may begin anew meanwhile.
_left: set[str] = set()
_complaints = Complaints(logger)


class Paused(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    requires = (Tasks, Control)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Leave them before the first message is taken."""
        look(consumer)
        self._timer = consumer.timer.call_repeatedly(_LOOK_SECONDS, look, (consumer,))

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@control_command(name=LOOK_AT_PAUSED, visible=False)
def _on_told(state: Any) -> dict[str, str]:
    """A queue was paused or resumed."""
    state.consumer.call_soon(look, state.consumer)
    return {"ok": "looking"}


def look(consumer: Any) -> None:
    """Leave what is paused, and come back to what is not; in the consumer's own thread.

    Never raises because of the database.
    """
    try:
        found = set(paused.names(results_alias()))
    except Error as error:
        _complaints.say(logging.WARNING, "Which queues are paused cannot be read now: %s", first_line(error))
        return
    finally:
        # Celery renews no connection of this thread.
        connections[results_alias()].close()
    queues = consumer.app.amqp.queues
    for name in found & set(queues.consume_from):
        consumer.cancel_task_queue(name)
        _left.add(name)
        logger.warning("Queue %s is paused: nothing is taken from it until `celery resume %s`.", name, name)
    for name in _left - found:
        # Celery's own command forgets the queue with the next connection.
        queues.select([*queues.consume_from, name])
        consumer.add_task_queue(name)
        _left.discard(name)
        logger.warning("Queue %s is resumed.", name)
