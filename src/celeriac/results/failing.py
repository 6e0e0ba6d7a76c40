"""Which states are the end of a run that did not succeed, and what they tell of it.

Only text is taken from an exception, and none is ever made from a text.
"""

import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery, states
from celery.exceptions import Retry, TaskRevokedError

from celeriac.models import Outcome
from celeriac.results import noting
from celeriac.results.attempts import Ended
from celeriac.results.upsert import Write
from celeriac.sensitive import rules_of, without

STATES = frozenset({states.FAILURE, states.RETRY, states.REVOKED})
#: By the class of the exception, whatever the state: Celery has no states for these.
_BY_CLASS = {
    "WorkerLostError": Outcome.LOST,
    "TimeLimitExceeded": Outcome.TIME_LIMIT,
    "SoftTimeLimitExceeded": Outcome.TIME_LIMIT,
    "Reject": Outcome.REJECTED,
}
#: Of a message in a database: its id and the token of its claim.
_TAG = re.compile(r"\d+-\d+")
#: What Celery says of a task whose worker stops before its end, and of one that ran when it was revoked.
_RETURNED, _TERMINATED = "cancelled by Celery", "terminated"


class _Local(threading.local):
    #: Of the task that fails now.
    secrets: Sequence[str] = ()


_local = _Local()


def attempt_of(write: Write, result: Any, request: Any) -> Ended | None:
    """The attempt that ends with a state; None: it is no end, or that of a task that never ran."""
    if write.status not in STATES or not _is_of_a_run(write.task_id, request):
        return None
    exception, message = described(result)
    outcome = _outcome(write.status, exception, message, request)
    if outcome is None:
        return None
    if not exception and write.status == states.RETRY:
        exception, message = class_name(Retry), _last_line(write.traceback or "")
    return Ended(
        write.task_id,
        getattr(request, "task", None) or "",
        outcome,
        worker=getattr(request, "hostname", None) or "",
        exception=exception,
        message=message,
        traceback=write.traceback or "",
        started_at=write.started_at,
        ended_at=write.at,
        run_key=_run_key(request),
        never_began=outcome == Outcome.GIVEN_UP,
    )


def attempt_apart(
    app: Celery, task_name: str, request: Any, error: BaseException | None, traceback: Any
) -> Ended | None:
    """The attempt of a task of which no state is stored; None: it is a part of the task that called it."""
    task_id = str(getattr(request, "id", None) or "")
    if not _is_of_a_run(task_id, request):
        return None
    exception, message = described(error)
    message, traceback = without_secrets(app, task_name, request, message, str(traceback or ""))
    return Ended(
        task_id,
        task_name,
        _outcome(states.FAILURE, exception, message, request) or Outcome.FAILURE,
        worker=getattr(request, "hostname", None) or "",
        exception=exception,
        message=message,
        traceback=traceback,
        run_key=_run_key(request),
        never_began=getattr(request, "given_up", False) is True,
    )


@contextmanager
def failing(app: Celery, request: Any) -> Iterator[None]:
    """Within, its error is also stored for those that follow it and know nothing of its arguments."""
    before = _local.secrets
    _local.secrets = _secrets_of(app, getattr(request, "task", None) or "", request)
    try:
        yield
    finally:
        _local.secrets = before


def without_secrets(app: Celery, task_name: str, request: Any, told: Any, traceback: Any) -> tuple[Any, Any]:
    """What is told of an error, and its traceback, without the values of the task's sensitive arguments."""
    hidden = [*_local.secrets, *_secrets_of(app, task_name, request)]
    return (without(hidden, told), without(hidden, traceback)) if hidden else (told, traceback)


def _secrets_of(app: Celery, task_name: str, request: Any) -> list[str]:
    args, kwargs = getattr(request, "args", None), getattr(request, "kwargs", None)
    if not (args or kwargs) or not isinstance(kwargs or {}, dict):
        return []
    return rules_of(app).of(task_name).secrets(args, kwargs)


def described(error: Any) -> tuple[str, str]:
    """Class and message of an exception, or of what a backend stores in its place."""
    if isinstance(error, BaseException):
        return class_name(type(error)), _said(error)
    if not isinstance(error, dict) or "exc_type" not in error:
        return "", ""
    module, name, told = error.get("exc_module"), error["exc_type"], error.get("exc_message") or ()
    parts = told if isinstance(told, list | tuple) else [told]
    return _qualified(module, name), ", ".join(map(str, parts))


def class_name(kind: type) -> str:
    return _qualified(kind.__module__, kind.__qualname__)


def _outcome(status: str, exception: str, message: str, request: Any) -> Outcome | None:
    if getattr(request, "given_up", False) is True:
        return Outcome.GIVEN_UP if status == states.FAILURE else None
    name = exception.rpartition(".")[2]
    if status == states.REVOKED:
        # What expired, or was revoked before it began, was no run.
        is_stopped = name == TaskRevokedError.__name__ and message == _TERMINATED
        return Outcome.REVOKED if is_stopped else None
    if status == states.RETRY and name == Retry.__name__ and message == _RETURNED:
        return Outcome.RETURNED
    return _BY_CLASS.get(name) or Outcome[status]


def _run_key(request: Any) -> str:
    """The same for all that is told of one run: Celery tells twice of a task that is killed by its limit."""
    tag = noting.tag_of(request)
    if tag is not None and _TAG.fullmatch(tag):
        return tag
    return str(vars(request).setdefault("celeriac_run_key", secrets.token_hex(16)))


def _is_of_a_run(task_id: str, request: Any) -> bool:
    """Not the rest of a chain that failed, nor the body of a chord: those have a request, and no worker."""
    return (
        bool(getattr(request, "hostname", None))
        and str(getattr(request, "id", None)) == task_id
        and not getattr(request, "is_eager", False)
    )


def _qualified(module: Any, name: Any) -> str:
    return str(name) if module in (None, "", "builtins") else f"{module}.{name}"


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a class of the user's; what it does not say is not worth an error
        return ""


def _last_line(traceback: str) -> str:
    lines = traceback.strip().splitlines()
    return lines[-1].partition(": ")[2] if lines else ""
