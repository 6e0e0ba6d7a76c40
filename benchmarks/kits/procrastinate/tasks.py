"""The task of the benchmark, for procrastinate."""

from procrastinate.contrib.django import app
from stamp import stamp


@app.task()
def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y
