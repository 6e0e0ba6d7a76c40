"""A worker leaves a sign of life for `celeriac.health`: its loop that it turns, or what it does instead."""

from collections.abc import Callable
from typing import Any

from celery import bootsteps, signals
from celery.concurrency.solo import TaskPool as SoloPool
from celery.worker.consumer.connection import Connection

from celeriac.health import place, sign

_UID = "celeriac.health"
_SECONDS = 1.0

#: Of the pool `solo`: tasks that run now, one within the other where a task calls another with `apply()`.
_depth = 0


class MarkLoop(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    requires = (Connection,)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """The broker is there: from here on the loop turns."""
        sign.say(place.RUNNING)
        if consumer.hub is not None:
            self._timer = consumer.hub.call_repeatedly(_SECONDS, sign.touch)
        else:
            # The loop of gevent, eventlet and Windows asks for this in each of its turns.
            consumer.perform_pending_operations = _and_touch(type(consumer), consumer)

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sign.say(place.CONNECTING)


def begin(worker: Any) -> None:
    """The worker has its name; after this its pool is made."""
    sign.begin(worker.hostname)
    signals.worker_shutting_down.connect(_stopping, dispatch_uid=_UID)
    if worker.pool_cls is SoloPool or "solo" in str(worker.pool_cls):
        signals.task_prerun.connect(_working, dispatch_uid=_UID)
        signals.task_postrun.connect(_turning, dispatch_uid=_UID)


def end() -> None:
    """The worker ends; may be called twice."""
    for signal in (signals.worker_shutting_down, signals.task_prerun, signals.task_postrun):
        signal.disconnect(dispatch_uid=_UID)
    sign.end()


def _and_touch(kind: Any, consumer: Any) -> Callable[[], None]:
    def perform_pending_operations() -> None:
        sign.touch()
        kind.perform_pending_operations(consumer)

    return perform_pending_operations


def _stopping(**_: Any) -> None:
    sign.say(place.STOPPING)


def _working(**_: Any) -> None:
    global _depth
    _depth += 1
    sign.say(place.WORKING)


def _turning(**_: Any) -> None:
    global _depth
    # One may end whose begin was not told of.
    _depth = max(0, _depth - 1)
    sign.say(place.WORKING if _depth else place.RUNNING)
