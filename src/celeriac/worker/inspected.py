"""What `inspect active` and the like tell of a task: not the values of its sensitive arguments."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.worker.request import Request

from celeriac.sensitive import rules_of


def install() -> None:
    """Look at what is told of every task; may be called twice."""
    if not hasattr(Request.info, "__wrapped__"):
        Request.info = _hiding(Request.info)


def _hiding(info: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(info)
    def told(self: Any, safe: bool = False) -> Any:
        found = info(self, safe=safe)
        if not safe and (hidden := rules_of(self.app).reprs(self.name, found["args"], found["kwargs"])):
            found["args"], found["kwargs"] = hidden
        return found

    return told
