"""Attempts that no state of ours tells of: another backend has the results, a task that ignores its result
asks for another run, or a message is given back for one.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import signals
from celery.exceptions import Reject, TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from django.conf import settings
from django.utils import timezone

from celeriac.models import Outcome
from celeriac.results import failing
from celeriac.results.attempts import Ended
from celeriac.results.backend import DatabaseBackend, keep_attempt
from celeriac.results.pending import results_alias
from celeriac.worker import rejected

_UID = "celeriac.worker.unstored"
#: What a worker's main process learns of, and by which a task may run again with the same message.
_OF_MAIN_PROCESS = (Reject, TimeLimitExceeded, WorkerLostError)


class _Local(threading.local):
    #: Whether this thread is about to keep the attempt that a signal tells of.
    is_noticing = False


_local = _Local()


def install() -> None:
    """Hear of the end of every task, in whatever process it runs; may be called twice."""
    signals.task_failure.connect(_on_failure, dispatch_uid=_UID)
    signals.task_retry.connect(_on_retry, dispatch_uid=_UID)
    if not hasattr(Request.on_failure, "__wrapped__"):
        Request.on_failure = _noticing(Request.on_failure)


def _on_failure(sender: Any, exception: Any = None, einfo: Any = None, task_id: str = "", **_: Any) -> None:
    request = getattr(sender, "request", None)
    if _has_states(sender) or _local.is_noticing or getattr(request, "id", None) != task_id:
        return
    traceback = getattr(einfo, "traceback", None)
    _keep(failing.attempt_apart(sender.app, sender.name, request, exception, traceback))


def _on_retry(sender: Any, request: Any, reason: Any = None, einfo: Any = None, **_: Any) -> None:
    if reason is None:
        return  # Celery before 5.7 says so of a task that a cold shutdown cuts and gives back.
    ignores = sender.ignore_result or getattr(request, "ignore_result", False)
    if _has_states(sender) and (not ignores or sender.store_errors_even_if_ignored):
        return
    error, traceback = getattr(reason, "exc", None) or reason, getattr(einfo, "traceback", None)
    attempt = failing.attempt_apart(sender.app, sender.name, request, error, traceback)
    if attempt is not None:
        attempt.outcome = Outcome.RETRY
    _keep(attempt)


def _has_states(task: Any) -> bool:
    return isinstance(task.backend, DatabaseBackend)


def _noticing(on_failure: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(on_failure)
    def noticing(self: Any, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, _OF_MAIN_PROCESS):
            return on_failure(self, exc_info, *args, **kwargs)
        refused: list[bool] = []
        reject = self.reject

        def noted(requeue: bool = False) -> Any:
            refused.append(requeue)
            return reject(requeue=requeue)

        # Celery decides in there whether its message goes back, by settings of the task's and of its own.
        self.reject, _local.is_noticing = noted, True
        try:
            return on_failure(self, exc_info, *args, **kwargs)
        finally:
            del self.reject
            _local.is_noticing = False
            if any(refused) or not _is_told(self, error):
                _keep(_attempt_of(self, error, exc_info))

    return noticing


def _is_told(request: Any, error: BaseException) -> bool:
    """Whether the end of a task whose message is not given back is stored as a state."""
    if not _has_states(request.task):
        return False
    return not isinstance(error, Reject) or rejected.is_stored(request.app)


def _attempt_of(request: Any, error: BaseException, exc_info: Any) -> Ended | None:
    traceback = exc_info.traceback if isinstance(error, Reject) else None
    attempt = failing.attempt_apart(request.app, request.name, request._context, error, traceback)
    if attempt is not None and request.time_start:
        began = datetime.fromtimestamp(request.time_start, UTC)
        attempt.started_at = began if settings.USE_TZ else timezone.make_naive(began)
    return attempt


def _keep(attempt: Ended | None) -> None:
    if attempt is not None:
        keep_attempt(results_alias(), attempt)
