"""Publishing that must wait for the end of the running task.

`self.retry()` and `self.replace()` publish the task again and then leave its body by an exception. If the
body is inside `atomic()`, that exception rolls the publish back, Celery acks the message, and the task
would be gone. So such a publish is kept until the body has ended, and sent before the ack.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery import signals
from celery._state import get_current_worker_task
from django.db import connections

logger = logging.getLogger(__name__)

_waiting = threading.local()


def must_wait(alias: str, task_id: str) -> bool:
    """Whether the running task publishes itself again within a transaction on the broker's database."""
    task = get_current_worker_task()
    return task is not None and task.request.id == task_id and connections[alias].in_atomic_block


def wait(publish: Callable[[], Any]) -> None:
    """Publish when the body of the running task has ended."""
    _waiting.__dict__.setdefault("publishes", []).append(publish)


def connect() -> None:
    """Hear of the end of every task; may be called twice."""
    signals.task_postrun.connect(_publish, dispatch_uid="celeriac.after_task")


def _publish(**_: Any) -> None:
    publishes, _waiting.publishes = _waiting.__dict__.get("publishes", []), []
    for publish in publishes:
        try:
            publish()
        except Exception as error:
            logger.exception("A task could not be sent again at its end.")
            # The receiver of a signal may not raise, and an ack now would lose the task. Ending the
            # process gives the message back, and the task runs again.
            raise SystemExit(1) from error
