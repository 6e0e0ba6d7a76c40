"""Publishing that must wait for the end of the running task.

`self.retry()` and `self.replace()` publish and then leave the task's body by an exception. If the body is
inside `atomic()`, that exception rolls the publish back, Celery acks the message, and the task would be
gone. So such a publish is kept until the body has ended, and sent before the ack. A retry is one message
with the task's own id; what replaces a task may be many, a chord with its row among them, and only
one of them, or none that is sent now, has that id: there the whole call waits.
"""

import logging
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import Task, signals
from celery._state import get_current_worker_task
from celery.exceptions import Ignore, OperationalError
from django.db import Error, connections

from celeriac.results import noting

logger = logging.getLogger(__name__)

_waiting = threading.local()


def must_wait(alias: str, task_id: str) -> bool:
    """Whether the running task publishes itself again within a transaction on the broker's database."""
    task = get_current_worker_task()
    return task is not None and task.request.id == task_id and connections[alias].in_atomic_block


def wait(publish: Callable[[], Any]) -> None:
    """Publish when the body of the running task has ended."""
    noting.withhold()
    _waiting.__dict__.setdefault("publishes", []).append(publish)


def connect() -> None:
    """Hear of the end of every task, and of every task that is replaced; may be called twice."""
    signals.task_postrun.connect(_publish, dispatch_uid="celeriac.after_task")
    # Its last step, which a task's own `on_replace` must call too (Celery >= 5.3).
    if not hasattr(Task.on_replace, "__wrapped__"):
        Task.on_replace = _waiting_for_commit(Task.on_replace)


def _waiting_for_commit(on_replace: Callable[[Task, Any], Any]) -> Callable[[Task, Any], Any]:
    @wraps(on_replace)
    def replaced(self: Task, sig: Any) -> Any:
        if self.request.is_eager or not _is_in_transaction():
            return on_replace(self, sig)
        wait(sig.delay)
        raise Ignore("Replaced by new task")

    return replaced


def _is_in_transaction() -> bool:
    """On any database: the messages may be in one, a chord in another."""
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))


def _publish(task: Any, **_: Any) -> None:
    publishes, _waiting.publishes = _waiting.__dict__.get("publishes", []), []
    for publish in publishes:
        try:
            publish()
        except (OperationalError, Error) as error:
            logger.exception("A task could not be sent again at its end.")
            # The receiver of a signal may not raise, and an ack now would lose the task. Ending the
            # process gives the message back, and the task runs again.
            raise SystemExit(1) from error
        except Exception as error:
            logger.exception("A task cannot be sent again at its end.")
            # It could not be sent the next time either.
            task.backend.mark_as_failure(task.request.id, error, request=task.request)
