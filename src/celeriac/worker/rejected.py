"""The end of a task whose message is refused by the task itself: `raise Reject(…, requeue=False)`.

Celery before 5.7 stores nothing then: with RabbitMQ the message may go on in another queue. On a database it
is a dead letter, nobody runs it by itself, and who waits for the result, or for the chord, would wait for
ever. A `self.retry()` whose message cannot be sent ends so, too.
"""

import traceback
from typing import Any

import celery
from celery import signals
from celery.app.trace import REJECTED
from celery.exceptions import Reject

from celeriac.broker import address

#: Since this version Celery stores FAILURE itself (celery#10369); a second time would call errbacks twice.
_NATIVE = (5, 7)


def install() -> None:
    """Hear of the end of every task, in whatever process it runs; may be called twice."""
    if not _is_native():
        signals.task_postrun.connect(_after_task, dispatch_uid="celeriac.worker.rejected")


def is_stored(app: Any) -> bool:
    """Whether a task that refuses its message for good ends as FAILURE."""
    return _is_native() or address.alias_of(app) is not None


def _is_native() -> bool:
    return (int(celery.VERSION.major), int(celery.VERSION.minor)) >= _NATIVE


def _after_task(task: Any, state: str | None = None, retval: Any = None, **_: Any) -> None:
    """Before the message is refused, so that a worker that dies between the two runs the task again."""
    request = task.request
    if state != REJECTED or request.is_eager or not isinstance(retval, Reject) or retval.requeue:
        return
    if address.alias_of(task.app) is None:
        return
    has_result = not request.ignore_result or task.store_errors_even_if_ignored
    text = "".join(traceback.format_exception(retval))
    task.backend.mark_as_failure(request.id, retval, traceback=text, request=request, store_result=has_result)
