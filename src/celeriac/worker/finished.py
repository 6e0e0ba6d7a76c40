"""The end of a task, whatever came of it: its message is done, also if the worker is killed now."""

from typing import Any

from celery import signals, states

from celeriac.results import noting

#: A rejected message is given back or becomes a dead letter, as its settling says.
_ACKNOWLEDGED = frozenset({states.SUCCESS, states.RETRY, states.IGNORED})


def connect() -> None:
    """Hear of the end of every task; may be called twice."""
    signals.task_postrun.connect(_after_task, dispatch_uid="celeriac.finished")


def _after_task(task: Any, state: str | None = None, **_: Any) -> None:
    if task.request.is_eager:
        return  # A part of the task that called it.
    if state in _ACKNOWLEDGED or (state == states.FAILURE and task.acks_on_failure_or_timeout):
        noting.task_is_over(task.request)
    else:
        noting.forget()
