"""The end of a task, whatever came of it: its message is done, also if the worker is killed now."""

from functools import partial
from typing import Any

from celery import signals, states
from celery.app.trace import REJECTED
from django.utils import timezone

from celeriac.results import noting, records, storing
from celeriac.results.backend import DatabaseBackend

#: A rejected message is given back or becomes a dead letter, as its settling says.
_ACKNOWLEDGED = frozenset({states.SUCCESS, states.RETRY, states.IGNORED})


def connect() -> None:
    """Hear of the end of every task; may be called twice."""
    signals.task_postrun.connect(_after_task, dispatch_uid="celeriac.finished")


def _after_task(task: Any, state: str | None = None, **_: Any) -> None:
    if task.request.is_eager:
        return  # A part of the task that called it.
    if state == states.IGNORED or (state == REJECTED and not task.acks_late):
        _note_the_end(task)
    if state in _ACKNOWLEDGED or (state == states.FAILURE and task.acks_on_failure_or_timeout):
        noting.task_is_over(task.request)
    else:
        noting.forget()


def _note_the_end(task: Any) -> None:
    """No state tells that it has ended: who finds this worker dead would take it for one that ran."""
    if isinstance(task.backend, DatabaseBackend) and not task.request.ignore_result:
        run = records.Run(task.request.id, task.name, finished_at=timezone.now())
        storing.store_or_tell(task.backend.alias, partial(records.add_runs, runs=[run]))
