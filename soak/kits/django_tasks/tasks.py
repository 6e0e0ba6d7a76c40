"""The tasks of a soak, for Django's own tasks: each notes that it ran."""

import os
import signal
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


@task(takes_context=True)
def poison(context: Any, number: int, how: str) -> None:
    """Ends the process that runs it, each time."""
    with book.run(number, context.attempt):
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGSEGV)


if os.environ.get("SOAK_RELEASE") != "old":

    @task(takes_context=True)
    def newcomer(context: Any, number: int, seconds: float) -> int:
        """A task that the new release has, and the old one has not."""
        with book.run(number, context.attempt):
            time.sleep(seconds)
        return number
