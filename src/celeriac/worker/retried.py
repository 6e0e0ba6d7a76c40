"""A `self.retry()` whose message cannot be sent while the broker is away: the task's own message comes back.

Celery refuses it for good then, which makes it a dead letter here and deletes it elsewhere. The task has not
ended and would run again, so its message is given back, and runs when the broker is there again. It is a
delivery like any other: after MAX_DELIVERIES of them it is given up.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import Task
from celery.exceptions import OperationalError, Reject
from django.db import Error

from celeriac.broker.errors import BrokerBusy, BrokerConnectionLost
from celeriac.database import failures


def install() -> None:
    """Let every retry keep its message; may be called twice."""
    if not hasattr(Task.retry, "__wrapped__"):
        Task.retry = _keeping(Task.retry)


def _keeping(retry: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(retry)
    def retried(self: Task, *args: Any, **options: Any) -> Any:
        try:
            return retry(self, *args, **options)
        except Reject as refused:
            # A message that was acknowledged when the task began is not there to be given back.
            if refused.requeue or not self.acks_late or not _is_outage(refused.reason):
                raise
            raise Reject(refused.reason, requeue=True) from refused.reason

    return retried


def _is_outage(reason: object) -> bool:
    """Whether it could be sent at another time."""
    if isinstance(reason, OperationalError | BrokerConnectionLost | BrokerBusy):
        return True
    return isinstance(reason, Error) and failures.is_passing(reason)
