"""A part of a chord whose process died between its SUCCESS and its count: it is not over yet.

From 5.7 on Celery acknowledges what a lost process had stored as SUCCESS. A part is stored before it is
counted, and its chord would wait for ever.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import states
from celery.worker.request import Request
from django.db import Error, connections

from celeriac.results import chords
from celeriac.results.backend import DatabaseBackend

#: Celery's own name for the question, which older releases do not ask: they run the task again.
_QUESTION = "_success_was_stored"


def install() -> None:
    """Let no request of this process be over before its part is counted; may be called twice."""
    asked = getattr(Request, _QUESTION, None)
    if asked is not None and not hasattr(asked, "__wrapped__"):
        setattr(Request, _QUESTION, _counting(asked))


def _counting(asked: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(asked)
    def was_stored(self: Any) -> Any:
        """What was stored; False where the task shall run again, which counts its part."""
        context, backend = self._context, self.task.backend
        if not isinstance(backend, DatabaseBackend):
            return asked(self)
        try:
            return _answer(self, asked, context, backend)
        finally:
            # In the main process nobody else closes it, and once the server was away it answers nothing.
            _close(backend.alias)

    return was_stored


def _answer(request: Any, asked: Callable[[Any], Any], context: Any, backend: DatabaseBackend) -> Any:
    stored = asked(request)
    if not stored or not context.chord or _is_counted(backend.alias, context):
        return stored
    if request.task.acks_late and request.task.reject_on_worker_lost:
        return False
    backend.on_chord_part_return(context, states.SUCCESS, None)
    return stored


def _is_counted(alias: str, context: Any) -> bool:
    try:
        return chords.is_counted(alias, context.group, context.id)
    except Error:
        # Nobody knows: once more is better than never.
        return False


def _close(alias: str) -> None:
    connection = connections[alias]
    if not connection.in_atomic_block:
        connection.close()
