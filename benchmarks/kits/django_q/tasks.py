"""The task of the benchmark, for django-q2, which calls any function."""

from stamp import stamp


def add(x: int, y: int) -> int:
    """Two numbers, added."""
    stamp(x)
    return x + y
