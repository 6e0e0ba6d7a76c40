"""How long a worker that is told to stop may finish its tasks: then it gives them back, and ends."""

import os
import signal
import time
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from billiard.process import active_children
from celery import Celery, signals
from celery.platforms import EX_FAILURE

_SETTING = "worker_soft_shutdown_timeout"
#: What a cold shutdown may take, most of which is spent in waiting for the pool's processes.
_CUT_SECONDS = 1.8


def limit(app: Celery, seconds: float) -> None:
    """From the first word that the worker is to stop, it has so many seconds; then `cut`."""
    # A thread that waits already: a signal's handler may start none, and may put into this queue.
    told: SimpleQueue[str] = SimpleQueue()
    signals.worker_shutting_down.connect(
        partial(_told, told), weak=False, dispatch_uid="celeriac.time_to_stop"
    )
    Thread(target=_wait, args=(app, told, seconds), name="celeriac-time-to-stop", daemon=True).start()


def _told(told: "SimpleQueue[str]", how: str, **_: Any) -> None:
    told.put(how)


def _wait(app: Celery, told: "SimpleQueue[str]", seconds: float) -> None:
    while told.get() != "Warm":
        pass
    # In a thread of its own, which ends with the process when the tasks are quicker.
    time.sleep(seconds)
    cut(app)


def cut(app: Celery) -> None:
    """Give the running tasks back and end this process, within two seconds, from any thread."""
    # This is Celery's cold shutdown; its soft one would wait once more.
    app.conf[_SETTING] = 0
    if hasattr(signal, "SIGQUIT"):
        os.kill(os.getpid(), signal.SIGQUIT)
        # Celery's end ends this thread too; nobody tells of an end that does not come.
        time.sleep(_CUT_SECONDS)
    # Something holds it up. Whoever comes next finds that this worker is dead, and gives its tasks to others.
    for process in active_children():
        if process.pid is not None:
            os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    os._exit(EX_FAILURE)
