"""The end of a worker takes as long as its tasks, and no longer: three waits that nobody needs are left out.

Celery looks whether it is to stop when its loop next turns, which is within a second where nothing comes. The
prefork pool of Celery 5.7 keeps timers going by a thread that sleeps for half a second, and waits for it. And
Python looks through all objects for garbage before it ends, several times, which took 0.7 s of the processor:
nearly all of them are what was imported.
"""

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from billiard.pool import CLOSE, RUN
from celery import bootsteps, signals
from celery.concurrency import prefork
from celery.worker.consumer.mingle import Mingle

from celeriac.broker.wakeup.self_pipe import SelfPipe

logger = logging.getLogger(__name__)

_UID = "celeriac.ending"
#: As Celery has it for its timers: heartbeats, time limits.
_TURN_SECONDS = 0.5
#: A timer that waits for a broker which is away is left behind.
_HANGING_SECONDS = 1.0


class StopAtOnce(bootsteps.StartStopStep):
    """A step of the worker's consumer: what tells the worker to stop wakes its loop."""

    # Before that, Mingle reads on Redis by the loop's own poller, and knows nothing of this pipe.
    requires = (Mingle,)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._pipe: SelfPipe | None = None

    def start(self, consumer: Any) -> None:
        """There is a loop, which a lost connection empties: it is entered anew."""
        if consumer.hub is None:
            return
        # It need not do anything: Celery looks whether it is to stop when the loop turns.
        self._pipe = SelfPipe(consumer.hub, object)
        signals.worker_shutting_down.connect(self._wake, dispatch_uid=_UID)

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        signals.worker_shutting_down.disconnect(dispatch_uid=_UID)
        pipe.close()

    def _wake(self, **_: Any) -> None:
        """In a signal's handler, after which Python takes up its wait for events again."""
        if self._pipe is not None:
            self._pipe.wake()


def hasten(worker: Any) -> None:
    """Let Celery's own prefork pool, which has not started, end when its processes have."""
    # Celery before 5.7 has no such thread, and waits for nothing.
    if type(worker.pool) is prefork.TaskPool and hasattr(prefork, "_run_ready_callbacks"):
        worker.pool.on_stop = partial(_end_pool, worker.pool, worker.hub)


def hear_repeated_signals() -> None:
    """Let a second signal that ends the worker come while the first is being heard.

    A supervisor sends it to the whole group, or somebody is impatient. What Celery tells its receivers by
    takes a lock that the second one, in the same thread, would wait for: for ever.
    """
    signals.worker_shutting_down.lock = threading.RLock()


def keep_what_is_imported() -> None:
    """Look for garbage among what comes from now on alone: at the end of this process, and before each fork.

    Celery collects before each process that it starts, and its loop stands still meanwhile. What comes later
    is still looked through at the end: an open file in a knot of objects is written out when it is collected.
    """
    gc.freeze()


def _end_pool(pool: Any, hub: Any) -> None:
    """As Celery's own `on_stop`."""
    processes = pool._pool
    if processes is None or processes._state not in (RUN, CLOSE):
        return
    processes.close()
    if hub is None:
        processes.join()
    else:
        with _turning(hub):
            processes.join()
    pool._pool = None


@contextmanager
def _turning(hub: Any) -> Iterator[None]:
    """Do meanwhile what the loop would: heartbeats to the broker, acks of tasks that end."""
    is_over = threading.Event()
    thread = threading.Thread(target=_turn, args=(hub, is_over), name="celeriac-ending", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_HANGING_SECONDS)


def _turn(hub: Any, is_over: threading.Event) -> None:
    while not is_over.is_set():
        _once(hub.fire_timers)
        _once(prefork._run_ready_callbacks, hub)
        is_over.wait(_TURN_SECONDS)
    # The last results that the pool waited for have asked for their acks after the turn before.
    _once(prefork._run_ready_callbacks, hub)


def _once(action: Any, *args: Any) -> None:
    try:
        action(*args)
    except Exception:
        logger.warning("The end of the worker goes on without this.", exc_info=True)
