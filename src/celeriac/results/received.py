"""The state RECEIVED: a worker has the task and has not started it yet.

A worker with a free process starts a task at once, and STARTED follows within milliseconds: writing
RECEIVED then would only make STARTED wait for the same row. So it is written for tasks that still wait
a moment later.
"""

import threading
import time
from collections import deque
from functools import partial
from typing import Any

from celery import signals

from celeriac.results import writer
from celeriac.results.rows import RowFormat

_UID = "celeriac.results.received"
#: How long a task must wait in the worker to be marked.
WAIT_SECONDS = 0.05


class Marks:
    """The tasks that were received a moment ago; a thread of its own hands them to the writer."""

    def __init__(self) -> None:
        #: With the moment from which on each is marked.
        self._requests: deque[tuple[float, Any]] = deque()
        self._changed = threading.Condition()
        self._is_ending = False
        #: Whether the thread wants to be told of a request: on a busy worker it comes by itself.
        self._is_idle = False
        self._thread = threading.Thread(target=self._run, name="celeriac-received", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, request: Any) -> None:
        self._requests.append((time.monotonic() + WAIT_SECONDS, request))
        if self._is_idle:
            with self._changed:
                self._changed.notify_all()

    def end(self) -> None:
        """End the thread; what is not marked by now will not be. May be called twice."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(1)

    def _run(self) -> None:
        ending = threading.Event()
        while not self._is_ending:
            with self._changed:
                self._is_idle = True
                self._changed.wait_for(lambda: bool(self._requests) or self._is_ending)
                self._is_idle = False
            ending.wait(WAIT_SECONDS)
            mark(self._waited())

    def _waited(self) -> list[Any]:
        """Those that were received long enough ago."""
        now, found = time.monotonic(), []
        while self._requests and self._requests[0][0] <= now:
            found.append(self._requests.popleft()[1])
        return found


def mark(requests: list[Any]) -> None:
    """Hand the tasks that have not started to the writer, if one runs."""
    running = writer.running()
    if running is None:
        return
    for request in requests:
        if getattr(request, "time_start", None) is None and not request.acknowledged:
            running.submit(request.task.backend.received_of(request))


_marks: Marks | None = None


def connect() -> None:
    """Hear of every task that this worker receives; may be called twice."""
    global _marks
    if _marks is None:
        _marks = Marks()
        _marks.start()
    signals.task_received.connect(partial(_on_received, _marks), weak=False, dispatch_uid=_UID)


def disconnect() -> None:
    """Hear no more; may be called twice."""
    global _marks
    signals.task_received.disconnect(dispatch_uid=_UID)
    if _marks is not None:
        _marks.end()
        _marks = None


def _on_received(marks: Marks, request: Any, **_: Any) -> None:
    if isinstance(request.task.backend, RowFormat) and not request.ignore_result:
        marks.add(request)
