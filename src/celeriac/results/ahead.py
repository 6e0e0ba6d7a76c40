"""Reading ahead in a row of results: `get()` of one after the other asks for ever more of them at once.

Celery tells the backend of every result that a `ResultSet` or a group holds, in their order, but `join()`
then asks for each by itself. As with files, who reads the first alone pays for one; who goes on reads twice
as many each time: a thousand results take ten queries, and memory for no more than was read already.
"""

import threading
import weakref
from collections.abc import Mapping
from typing import Any

#: Task ids of one query: SQLite's builds of before 2020 bind 999 values at most.
MOST_IDS = 500


class ReadAhead:
    """One for each backend; safe in every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The results that somebody holds, in the order in which they were made.
        self._held: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
        self._ended: dict[str, dict[str, Any]] = {}
        self._window: list[str] = []
        self._next: str | None = None

    def hold(self, result: Any) -> None:
        """Know the result as long as it exists."""
        with self._lock:
            self._held.setdefault(result.id, result)

    def take(self, task_id: str) -> dict[str, Any] | None:
        """What was read of an ended task, once."""
        with self._lock:
            return self._ended.pop(task_id, None)

    def window(self, task_id: str) -> list[str]:
        """The ids to ask for: this one, and those that come after it."""
        with self._lock:
            if task_id == self._next:
                size = min(2 * len(self._window), MOST_IDS)
            else:
                size = len(self._window) if task_id in self._window else 1
            held = list(self._held)
            start = held.index(task_id) if task_id in self._held else len(held)
            self._window = held[start : start + size] or [task_id]
            self._next = next(iter(held[start + size :]), None)
            return [each for each in self._window if each not in self._ended]

    def keep(self, ended: Mapping[str, dict[str, Any]]) -> None:
        """Have these ready for those who ask next; what they did not come to is forgotten."""
        with self._lock:
            self._ended |= ended
            while len(self._ended) > MOST_IDS:
                self._ended.pop(next(iter(self._ended)))
