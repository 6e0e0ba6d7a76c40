"""The state RECEIVED: a worker has the task and has not started it yet."""

from typing import Any

from celery import signals

from celeriac.results import writer
from celeriac.results.rows import RowFormat

_UID = "celeriac.results.received"


def connect() -> None:
    """Hear of every task that this worker receives; may be called twice."""
    signals.task_received.connect(_mark, weak=False, dispatch_uid=_UID)


def disconnect() -> None:
    signals.task_received.disconnect(dispatch_uid=_UID)


def _mark(request: Any, **_: Any) -> None:
    running = writer.running()
    backend = request.task.backend
    if running is not None and isinstance(backend, RowFormat) and not request.ignore_result:
        running.submit(backend.received_of(request))
