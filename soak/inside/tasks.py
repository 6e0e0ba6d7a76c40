"""The tasks of a soak, for Celery: each notes that it ran."""

import time
from typing import Any

import book
from celery import shared_task


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
