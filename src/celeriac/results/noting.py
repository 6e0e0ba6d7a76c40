"""Which states of a running task are noted in the journal, and when its message is done.

STARTED and the SUCCESS of a task after which nothing follows: these are the many. What others ask for at
once, and what something else depends on, is stored before Celery goes on: states of a task's own, failures
with their errbacks, the parts of a chord, and the end of a task whose project wants to hear of it.
"""

import threading
from typing import Any

from celery import Task, signals, states
from celery._state import get_current_worker_task

from celeriac.results import handoff
from celeriac.results.notes import Note
from celeriac.results.upsert import STATUS, TASK_ID, StateRow

#: What a task may do when its result is stored.
_HOOKS = ("on_success", "after_return")


class _Local(threading.local):
    """Of the task that this thread runs."""

    #: Celery stores its end now; a task may also set its state to SUCCESS by itself, and go on.
    is_at_its_end = False
    #: It has something to send when its body has ended.
    is_withheld = False
    #: It is noted that its message is done.
    is_noted = False
    #: Its noted beginning: the moment, which later states would hide, and what it tells of the task.
    began: StateRow | None = None


_local = _Local()


def task_ends(is_ending: bool) -> None:
    """Whether what Celery stores from now on is the end of the task that this thread runs."""
    _local.is_at_its_end = is_ending


def takes(status: str, request: Any) -> bool:
    """Whether a state may be left to the flusher, for all that is known before it is serialized."""
    if request is None or not handoff.is_open():
        return False
    if status == states.STARTED:
        return True
    return _local.is_at_its_end and status == states.SUCCESS and not _something_follows(request)


def take(note: Note, request: Any) -> bool:
    """Leave a state that it takes to the flusher; False: store it now."""
    assert note.row is not None
    if note.row[STATUS] == states.STARTED:
        _local.is_noted = _local.is_withheld = False
        is_taken = handoff.take(note)
        _local.began = note.row if is_taken else None
        return is_taken
    note.done = done = None if _local.is_withheld else tag_of(request)
    is_taken = handoff.take(note)
    _local.is_noted = is_taken and done is not None
    return is_taken


def beginning(task_id: str) -> StateRow | None:
    """The STARTED of the running task, where that is only noted."""
    began = _local.began
    return began if began is not None and began[TASK_ID] == task_id else None


def withhold() -> None:
    """The running task will do something when its body has ended: until then its message is not done."""
    _local.is_withheld = True


def task_is_over(request: Any) -> None:
    """Note that the message of the task that ended needs no other run, if that is not noted yet."""
    tag = tag_of(request)
    if tag is not None and not _local.is_noted:
        handoff.take(Note(done=tag))
    forget()


def forget() -> None:
    """The message of the task that ended is not done."""
    _local.is_noted = _local.is_withheld = False
    _local.began = None


def tag_of(request: Any) -> str | None:
    """The delivery tag of a task's message, where the broker is a database; elsewhere tags are numbers."""
    tag = (getattr(request, "properties", None) or {}).get("delivery_tag")
    return tag if isinstance(tag, str) else None


def _something_follows(request: Any) -> bool:
    if request.chord or signals.task_success.receivers:
        return True
    task = get_current_worker_task()
    return task is None or any(getattr(task.__class__, name) is not getattr(Task, name) for name in _HOOKS)
