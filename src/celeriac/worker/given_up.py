"""What follows when a message is given up: the end of its task, of its chord, and its errbacks.

No worker process saw the task, so nobody but the one that gave up can tell those who wait for it.
"""

import logging
from functools import partial
from typing import Any

from celery import Celery, signals, states
from celery.app.task import Context
from celery.exceptions import InvalidTaskError, NotRegistered, WorkerLostError
from celery.worker.strategy import proto1_to_proto2

from celeriac.broker import reading
from celeriac.dead_letters import EXPIRED, REVOKED, UNKNOWN_TASK, UNREADABLE, dead_lettered
from celeriac.results import writer
from celeriac.results.backend import DatabaseBackend

logger = logging.getLogger(__name__)

_UID = "celeriac.worker.dead"


def connect(app: Celery, hostname: str) -> None:
    """Hear of every message that this worker gives up, in place of an earlier worker of this process."""
    dead_lettered.disconnect(dispatch_uid=_UID)
    dead_lettered.connect(partial(_on_dead_lettered, app, hostname), weak=False, dispatch_uid=_UID)


def _on_dead_lettered(
    app: Celery, hostname: str, task_id: str, task_name: str | None, reason: str, payload: str = "", **_: Any
) -> None:
    known: dict[str, Any] = {
        "id": task_id,
        "task": task_name,
        "hostname": hostname,
        "delivery_info": {},
        "given_up": True,
    }
    finish = partial(_finish, app, Context({**_request_in(app, payload), **known}), reason)
    # A database error would be raised into the event loop, and the rest would never follow.
    elsewhere = writer.for_this_thread()
    if elsewhere is None:
        finish()
    else:
        elsewhere.submit(finish)


def _request_in(app: Celery, payload: str) -> dict[str, Any]:
    """The request as Celery's worker would have made it; as much of it as can be read."""
    request: dict[str, Any] = {}
    if not payload:
        return request
    try:
        message = reading.read(payload, app.conf.accept_content)
        request.update(message.headers)
        body = message.payload
        if isinstance(body, dict):
            body, headers, _, _ = proto1_to_proto2(message, body)
            request.update(headers)
        args, kwargs, embed = body
        request.update(embed or {}, args=args, kwargs=kwargs)
        request["reply_to"] = message.properties.get("reply_to")
        request["correlation_id"] = message.properties.get("correlation_id")
    except Exception as error:  # noqa: BLE001 - that may be why it was given up, and has been logged
        logger.debug("What waits for a task that was given up cannot be read: %r", error)
    return request


def _finish(app: Celery, request: Context, reason: str) -> None:
    """Safe to do again, as a whole, after an error of the database."""
    backend, task = app.backend, app.tasks.get(request.task)
    # Ended before, and given up because its ack was lost: nothing follows a second time.
    if isinstance(backend, DatabaseBackend) and backend.get_state(request.id) == states.SUCCESS:
        return
    has_result = not request.ignore_result or bool(getattr(task, "store_errors_even_if_ignored", False))
    if reason in {EXPIRED, REVOKED}:
        has_expired = reason == EXPIRED
        word = "expired" if has_expired else "revoked"
        backend.mark_as_revoked(request.id, reason=word, request=request, store_result=has_result)
        signals.task_revoked.send(task, request=request, terminated=False, signum=None, expired=has_expired)
    else:
        error = _error_of(request, reason)
        backend.mark_as_failure(request.id, error, request=request, store_result=has_result)


def _error_of(request: Context, reason: str) -> Exception:
    text = f"The task was given up: {reason}."
    if reason.startswith(UNKNOWN_TASK):
        return NotRegistered(f"{request.task}: {text}")
    return InvalidTaskError(text) if reason.startswith(UNREADABLE) else WorkerLostError(text)
