"""A group's tasks, a chord's header and chunks are published together, whoever makes them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.canvas import group

from celeriac.publisher.blocks import group_of_tasks


def connect() -> None:
    """Let every group publish its tasks together; may be called twice."""
    # Chords and chunks publish through it too, and a group within a group is a part of the outer one.
    if not hasattr(group.apply_async, "__wrapped__"):
        group.apply_async = _together(group.apply_async)


def _together(apply_async: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(apply_async)
    def published(self: Any, *args: Any, **options: Any) -> Any:
        with group_of_tasks():
            return apply_async(self, *args, **options)

    return published
