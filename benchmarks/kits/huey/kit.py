"""Speaks for Huey."""

from collections.abc import Iterable

from huey.contrib.djhuey import HUEY
from tasks import add


def enqueue(number: int) -> None:
    """One task."""
    add(number, 1)


def enqueue_many(numbers: Iterable[int]) -> None:
    """One after the other: Huey has no call for many."""
    for number in numbers:
        add(number, 1)


def stored() -> int:
    """How many results can be read."""
    return int(HUEY.result_count())
