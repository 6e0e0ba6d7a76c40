"""The task of the benchmark, for Celery."""

from celery import shared_task
from stamp import stamp


@shared_task
def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y
