"""What tasks print, as the lines that they meant: `print("a", 1)` is four writes to Celery's stdout.

Celery makes a record of each write; here a record waits for the end of its line, or of its task.
"""

import threading
from typing import Any
from weakref import WeakSet

from celery import signals
from celery.app import log
from celery.utils.log import LoggingProxy

_UID = "celeriac.printed"
#: A process of the pool makes its own.
_in_use: WeakSet["WholeLines"] = WeakSet()


class WholeLines(LoggingProxy):
    """Celery's stdout and stderr of a worker, with a record for each line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of each thread, as tasks of a pool with threads print at once.
        self._begun = threading.local()
        _in_use.add(self)

    def write(self, data: Any) -> int:
        """Log the lines that end here, and hold the rest; lines of nothing are left out."""
        if not isinstance(data, str) or getattr(self._thread, "recurse_protection", False):
            return int(super().write(data))
        lines, end, rest = (getattr(self._begun, "text", "") + data).rpartition("\n")
        self._begun.text = rest
        if end and lines.strip():
            super().write(lines)
        return len(data)

    def flush(self) -> None:
        """Log what has no end yet: somebody wants it seen."""
        text, self._begun.text = getattr(self._begun, "text", ""), ""
        if text.strip():
            super().write(text)


def install() -> None:
    """Celery redirects stdout and stderr of the worker and of its pool so; may be called twice."""
    log.LoggingProxy = WholeLines
    # Before the line of a task that has succeeded, and behind that of any other.
    signals.task_success.connect(_end, dispatch_uid=f"{_UID}.success")
    signals.task_postrun.connect(_end, dispatch_uid=f"{_UID}.end")


def _end(**_: Any) -> None:
    for each in list(_in_use):
        each.flush()
