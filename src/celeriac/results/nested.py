"""Waiting for a group that has groups within: for all their tasks together.

Celery waits for each result of an inner group by itself, and without the timeout.
"""

from collections.abc import Iterator
from typing import Any

from celery.result import ResultSet


def iterate(backend: Any, result: ResultSet, options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (id, meta) of each task as it ends, and (id, results) of an inner group when all of it has.

    What is known to have ended is not asked for again, however deep the groups are.
    """
    tasks = set()
    for each in result.results:
        if isinstance(each, ResultSet):
            continue
        if each._cache:
            yield each.id, each._cache
        else:
            tasks.add(each.id)
    inner = [_Inner(each) for each in result.results if isinstance(each, ResultSet)]
    leaves = {task_id for group in inner for task_id in group.waiting}
    yield from _ended(inner)
    for task_id, meta in backend.get_many(tasks | leaves, **options):
        if task_id in tasks:
            yield task_id, meta
        if task_id in leaves:
            for group in inner:
                group.end(task_id, meta)
            yield from _ended(inner)


class _Inner:
    """A group within a group, and what of it has not ended."""

    def __init__(self, group: ResultSet) -> None:
        self.group = group
        self.waiting: dict[str, list[Any]] = {}
        for leaf in _leaves(group):
            if not leaf._cache:
                self.waiting.setdefault(leaf.id, []).append(leaf)

    def end(self, task_id: str, meta: dict[str, Any]) -> None:
        """Let the results know, so that they ask for nothing when Celery gets them."""
        for leaf in self.waiting.pop(task_id, ()):
            leaf._maybe_set_cache(meta)


def _leaves(group: ResultSet) -> Iterator[Any]:
    for each in group.results:
        if isinstance(each, ResultSet):
            yield from _leaves(each)
        else:
            yield each


def _ended(inner: list[_Inner]) -> Iterator[tuple[str, list[Any]]]:
    """Take out the groups of which nothing is waited for any more."""
    for group in [each for each in inner if not each.waiting]:
        inner.remove(group)
        yield group.group.id, group.group.results
