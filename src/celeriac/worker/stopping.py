"""What a second Ctrl-C means: stop now, as the banner of `celery start` says."""

from functools import partial
from typing import Any, NoReturn

from celery import Celery, signals
from celery.concurrency.solo import TaskPool as SoloPool
from celery.exceptions import WorkerTerminate
from celery.platforms import EX_FAILURE

from celeriac.worker import platform

_SETTING = "worker_soft_shutdown_timeout"


def install(app: Celery) -> None:
    """Follow the signals that workers of this app get; done once, when Django is ready."""
    signals.worker_shutting_down.connect(partial(_hurry, app), weak=False, dispatch_uid="celeriac.hurry")
    signals.celeryd_after_setup.connect(_let_solo_terminate, dispatch_uid="celeriac.solo")


def _hurry(app: Celery, sig: str, how: str, **_: Any) -> None:
    """Wait no more once the running tasks have had their time; the user's own setting stays."""
    # Celery's soft shutdown, which SIGQUIT and supervisors begin, would also follow a second Ctrl-C.
    if (sig, how) == ("SIGINT", "Warm") and platform.chosen_in_settings(app, _SETTING) is None:
        app.conf[_SETTING] = 0


def _let_solo_terminate(instance: Any, **_: Any) -> None:
    """The pool `solo` cannot terminate a task (Celery 5.5 to 5.7), and runs it where signals arrive.

    Its NotImplementedError was raised inside the task, which failed by it, and the message was acked.
    """

    def terminate_job(*_: Any) -> NoReturn:
        instance.exitcode = EX_FAILURE
        # Celery's own way out of a task: nothing is stored, nothing acked, and the message goes back.
        raise WorkerTerminate(EX_FAILURE)

    pool = getattr(instance, "pool", None)
    if isinstance(pool, SoloPool):
        pool.terminate_job = terminate_job
