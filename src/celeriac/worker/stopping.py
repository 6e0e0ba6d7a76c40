"""What a second Ctrl-C means: stop now, as the banner of `celery start` says."""

from functools import partial
from typing import Any

from celery import Celery, signals

from celeriac.worker import platform

_SETTING = "worker_soft_shutdown_timeout"


def install(app: Celery) -> None:
    """Follow the signals that workers of this app get; done once, when Django is ready."""
    signals.worker_shutting_down.connect(partial(_hurry, app), weak=False, dispatch_uid="celeriac.hurry")


def _hurry(app: Celery, sig: str, how: str, **_: Any) -> None:
    """Wait no more once the running tasks have had their time; the user's own setting stays."""
    # Celery's soft shutdown, which SIGQUIT and supervisors begin, would also follow a second Ctrl-C.
    if (sig, how) == ("SIGINT", "Warm") and platform.chosen_in_settings(app, _SETTING) is None:
        app.conf[_SETTING] = 0
