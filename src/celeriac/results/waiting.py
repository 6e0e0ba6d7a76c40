"""How `AsyncResult.get()` and `GroupResult.get()` wait: soon after the result is there, by few queries.

Polls follow each other closely at first and less and less often, so that a result is seen a tenth of its
own time late, and a tenth of a second at the most. The results of a group are asked for together, nested ones
as well; those that are got one after the other are read ahead.
"""

import time
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import Any

from celery import states
from celery.exceptions import TimeoutError as NotReadyInTime
from celery.result import ResultSet
from django.db import connections
from django_celery_results.models import TaskResult

from celeriac.results import nested
from celeriac.results.ahead import MOST_IDS, ReadAhead
from celeriac.results.retry import is_in_transaction

_CELERY_DEFAULT_SECONDS = 0.5
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.002, 0.1


class Pauses:
    """The pauses between the polls of one wait, up to its deadline."""

    def __init__(self, timeout: float | None, interval: float | None) -> None:
        self._timeout = timeout
        # Celery hands its own default on as if the user had asked for it: the two cannot be told apart.
        self._interval = None if interval == _CELERY_DEFAULT_SECONDS else interval
        self._started = time.monotonic()

    def sleep(self) -> None:
        """Sleep until the next poll; raise Celery's TimeoutError when the deadline has passed."""
        elapsed = time.monotonic() - self._started
        seconds = self._interval
        if seconds is None:
            seconds = min(max(_SHORTEST_SECONDS, elapsed / 10), _LONGEST_SECONDS)
        if self._timeout is not None:
            if elapsed >= self._timeout:
                raise NotReadyInTime(f"No result within {self._timeout} seconds.")
            seconds = min(seconds, self._timeout - elapsed)
        time.sleep(seconds)


class Waiting:
    """The part of the backend that waits; `alias`, `meta_of` and Celery's own methods are the backend's."""

    supports_native_join = True

    def add_pending_result(self: Any, result: Any, weak: bool = False) -> Any:
        """Celery tells of a result that somebody holds."""
        self.read_ahead.hold(result)
        return result

    @cached_property
    def read_ahead(self) -> ReadAhead:
        return ReadAhead()

    def wait_for(
        self: Any,
        task_id: str,
        timeout: float | None = None,
        interval: float | None = None,
        no_ack: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> dict[str, Any]:
        """Return the task's meta once it has ended; raise Celery's TimeoutError after `timeout` seconds."""
        self._ensure_not_eager()
        _warn_if_snapshot_is_fixed(self.alias)
        pauses = Pauses(timeout, interval)
        while True:
            meta: dict[str, Any] | None = self.read_ahead.take(task_id) or self._read(task_id)
            if meta is not None:
                return meta
            if on_interval:
                on_interval()
            pauses.sleep()

    def _read(self: Any, task_id: str) -> dict[str, Any] | None:
        """The meta of an ended task, and perhaps of the next ones; None: it has not ended."""
        ids = self.read_ahead.window(task_id)
        if len(ids) == 1:
            meta: dict[str, Any] = self.get_task_meta(task_id)
            return meta if meta["status"] in states.READY_STATES else None
        ended = dict(self.ready_among(ids, states.READY_STATES))
        found: dict[str, Any] | None = ended.pop(task_id, None)
        self.read_ahead.keep(ended)
        return found

    def iter_native(self: Any, result: ResultSet, **options: Any) -> Iterator[tuple[str, Any]]:
        """Yield (id, meta) of each task as it ends, (id, results) of an inner group when all of it has."""
        self._ensure_not_eager()
        return nested.iterate(self, result, options)

    def get_many(
        self: Any,
        task_ids: Collection[str],
        timeout: float | None = None,
        interval: float | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        max_iterations: int | None = None,
        READY_STATES: Collection[str] = states.READY_STATES,  # noqa: N803 - Celery's name
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (task id, meta) of each task as it ends; raise TimeoutError as `wait_for` does."""
        _warn_if_snapshot_is_fixed(self.alias)
        waiting = set(task_ids)
        pauses = Pauses(timeout, interval)
        iterations = 0
        while waiting:
            for task_id, meta in self.ready_among(waiting, READY_STATES):
                waiting.discard(task_id)
                if on_message is not None:
                    on_message(meta)
                yield task_id, meta
            iterations += 1
            if not waiting or (max_iterations and iterations >= max_iterations):
                return
            if on_interval:
                on_interval()
            pauses.sleep()

    def ready_among(
        self: Any, task_ids: Collection[str], ready_states: Collection[str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The ended ones of these tasks, by one query for many; none by what is cached."""
        unknown = []
        for task_id in list(task_ids):
            cached = self._cache[task_id] if self.is_cached(task_id) else None
            if cached is not None and cached["status"] in ready_states:
                yield task_id, cached
            else:
                unknown.append(task_id)
        for start in range(0, len(unknown), MOST_IDS):
            rows = TaskResult._default_manager.using(self.alias).filter(
                task_id__in=unknown[start : start + MOST_IDS], status__in=ready_states
            )
            for row in list(rows.order_by()):
                meta = self.meta_of(row)
                self._cache[row.task_id] = meta
                yield row.task_id, meta


def _warn_if_snapshot_is_fixed(alias: str) -> None:
    """Warn, as the stock backend does, where no poll of an open transaction can see a new state."""
    if is_in_transaction(connections[alias]):
        TaskResult._default_manager.warn_if_repeatable_read()
