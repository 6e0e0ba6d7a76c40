"""The task of a soak, for Django's own tasks: it notes that it ran."""

import time
from typing import Any

import book
from django.tasks import task


@task(takes_context=True)
def work(context: Any, number: int, seconds: float) -> int:
    """A task by itself."""
    with book.run(number, context.attempt):
        time.sleep(seconds)
    return number
