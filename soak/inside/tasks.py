"""The tasks of a soak, for Celery: each notes that it ran."""

import os
import signal
import time
from typing import Any

import book
from celery import shared_task, signals


@shared_task(bind=True)
def work(self: Any, number: int, seconds: float) -> int:
    """A task by itself, or a part of a chord."""
    with book.run(number, self.request.retries + 1):
        time.sleep(seconds)
    return number


@shared_task(bind=True)
def tick(self: Any) -> None:
    """What the schedule fires: it notes whose tick it is."""
    book.write("ticks", [f"{self.request.id} {time.time()}"])


@shared_task(bind=True)
def link(self: Any, _: int, number: int, seconds: float) -> int:
    """A link of a chain."""
    with book.run(number, self.request.retries + 1):
        time.sleep(seconds)
    return number


@shared_task(bind=True)
def body(self: Any, values: list[int], number: int) -> int:
    """The body of a chord."""
    with book.run(number, self.request.retries + 1):
        pass
    return len(values)


@shared_task(bind=True)
def poison(self: Any, number: int, how: str) -> None:
    """Ends the process that runs it, each time."""
    with book.run(number, self.request.retries + 1):
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSEGV)


@shared_task(bind=True)
def witness(self: Any, number: int, seconds: float) -> None:
    """Fails where the row of its transaction is not there."""
    from django.contrib.auth.models import Group

    with book.run(number, self.request.retries + 1):
        if not Group.objects.filter(name=str(number)).exists():
            raise LookupError("it ran before its transaction was committed")
        time.sleep(seconds)


if os.environ.get("SOAK_RELEASE") == "old":

    @signals.task_unknown.connect
    def unknown(id: str, **_: Any) -> None:  # noqa: A002 - Celery's name
        """Note what came to a worker of the old release in vain."""
        book.write("returned", [id])

else:

    @shared_task(bind=True)
    def newcomer(self: Any, number: int, seconds: float) -> int:
        """A task that the new release has, and the old one has not."""
        with book.run(number, self.request.retries + 1):
            time.sleep(seconds)
        return number
