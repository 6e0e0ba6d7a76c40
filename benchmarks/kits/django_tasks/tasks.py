"""The task of the benchmark, for the backends of Django's own tasks."""

from django.tasks import task
from stamp import stamp


@task()
def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y
