"""What was ordered for tasks and queues reaches a worker: what is revoked does not run, what is paused waits.

The table is read when remote control listens and before the first message is taken, when somebody says that
it has changed, and now and then, for a message of remote control may be lost.
"""

import logging
from typing import Any
from weakref import WeakKeyDictionary

from celery import bootsteps
from celery.worker.consumer.control import Control
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import control_command

from celeriac.control import LOOK_AT_ORDERS
from celeriac.worker import paused, revoked
from celeriac.worker.reading_orders import Orders, Reader

logger = logging.getLogger(__name__)

#: How long a start waits for the database; then the reader goes on trying.
_FIRST_SECONDS = 5.0

_readers: "WeakKeyDictionary[Any, Reader]" = WeakKeyDictionary()


class FollowOrders(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    # Behind remote control: what is said from then on is heard, and what was said before is read.
    requires = (Tasks, Control)

    def start(self, consumer: Any) -> None:
        """Know them before the first message is taken."""
        reader = Reader(lambda found: consumer.call_soon(_follow, consumer, found))
        first = reader.start(_FIRST_SECONDS)
        if first is not None:
            _follow(consumer, first, is_looping=False)
        else:
            logger.warning("Which tasks are revoked and which queues are paused is not known yet.")
        _readers[consumer] = reader

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        reader = _readers.pop(consumer, None)
        if reader is not None:
            reader.stop()


@control_command(name=LOOK_AT_ORDERS, visible=False)
def _on_told(state: Any) -> dict[str, str]:
    """Look at the tables again: something has changed."""
    reader = _readers.get(state.consumer)
    if reader is not None:
        reader.look()
    return {"ok": "looking"}


def _follow(consumer: Any, found: Orders, *, is_looping: bool = True) -> None:
    """In the consumer's own thread."""
    revoked.take(found.revoked, found.stamps, is_all=found.is_all)
    # A consumer that is beginning anew will ask by itself.
    if consumer.task_consumer is not None:
        paused.obey(consumer, found.paused, is_looping=is_looping)
