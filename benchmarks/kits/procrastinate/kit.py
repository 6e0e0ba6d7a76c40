"""Speaks for procrastinate, which stores no value: a job that succeeded is its result."""

from collections.abc import Iterable

from procrastinate.contrib.django.models import ProcrastinateJob
from tasks import add


def enqueue(number: int) -> None:
    """One task."""
    add.defer(x=number, y=1)


def enqueue_many(numbers: Iterable[int]) -> None:
    """By its own call for many."""
    add.batch_defer(*({"x": number, "y": 1} for number in numbers))


def stored() -> int:
    """How many results can be read."""
    return int(ProcrastinateJob.objects.filter(status="succeeded").count())
