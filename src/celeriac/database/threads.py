"""Work for the database in a thread of its own: Django refuses its connections to an event loop's thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections

from celeriac.database import forks

T = TypeVar("T")


def run_anywhere(work: Callable[[], T]) -> T:
    """Do it here, or in another thread where this one is an event loop's."""
    try:
        return work()
    except SynchronousOnlyOperation:
        return run(work)


def run(work: Callable[[], T]) -> T:
    """Do it, and wait for it; what it raises is raised here."""
    with ThreadPoolExecutor(1, thread_name_prefix="celeriac-database") as threads:
        return threads.submit(_alone, work).result()


def _alone(work: Callable[[], T]) -> T:
    with forks.working():
        try:
            return work()
        finally:
            connections.close_all()
