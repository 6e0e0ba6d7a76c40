"""The task of the benchmark, for Huey."""

from huey.contrib.djhuey import task
from stamp import stamp


@task()
def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y
