"""Deletes what is too old: results, what is kept of tasks beside them, and dead letters.

Celery has the task `celery.backend_cleanup` for that, but it runs where there is a beat, and is not even
planned where the results expire by themselves, as on Redis. So each worker looks after them, now and then,
and when that task has run.
"""

import logging
import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import Celery, signals
from django.db import connections

from celeriac.broker import address
from celeriac.database import failures, forks
from celeriac.results import retention
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

_TASK = "celery.backend_cleanup"
_PERIOD_SECONDS = 3600.0
#: Soon, for a worker that is started anew often; not at once, when it has more urgent work.
_FIRST_SECONDS = 60.0


def connect() -> None:
    """Tidy when Celery's own clean-up has run; may be called twice."""
    signals.task_postrun.connect(_after_task, dispatch_uid="celeriac.housekeeping")


def tidy(app: Celery) -> Iterator[int]:
    """Delete in steps; yield how many rows at each one."""
    # With another broker they are beside the results: of the outbox, and of what could not be run.
    alias = address.alias_of(app) or results_alias()
    yield from retention.expire_dead_letters(alias)
    yield from retention.expire_ticks(alias)
    # 0 or None keeps everything.
    if app.backend.expires:
        older_than = timedelta(seconds=app.backend.expires)
        has_results = isinstance(app.backend, DatabaseBackend)
        for rows in retention.expired(results_alias(), older_than, has_results=has_results):
            yield from retention.delete_in_steps(results_alias(), rows)


def _after_task(task: Any, **_: Any) -> None:
    if task.name == _TASK:
        sum(tidy(task.app))


class Housekeeper:
    """A thread of a worker's main process. Between two steps it keeps no connection: others may fork then."""

    def __init__(
        self, app: Celery, *, first: float = _FIRST_SECONDS, period: float = _PERIOD_SECONDS
    ) -> None:
        self._app = app
        self._first, self._period = first, period
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="celeriac-housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step that is being done; may be called twice."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        seconds = self._first
        # By chance, so that workers started together do not delete together.
        while not self._ending.wait(seconds * random.uniform(1, 2)):  # noqa: S311 - not a secret
            try:
                self._tidy()
            except Exception as error:
                # With RabbitMQ or Redis a project may have no tables of ours: nothing is in them.
                if not failures.is_missing_table(error):
                    logger.exception(
                        "Old results, dead letters and ticks could not be deleted; next try in an hour."
                    )
            seconds = self._period

    def _tidy(self) -> None:
        steps = tidy(self._app)
        while not self._ending.is_set():
            with forks.working():
                try:
                    if next(steps, None) is None:
                        return
                finally:
                    connections.close_all()


#: The one of this process. Set by the main thread only.
_housekeeper: Housekeeper | None = None


def start(app: Celery) -> None:
    """Tidy while the worker lives."""
    global _housekeeper
    stop()
    _housekeeper = Housekeeper(app)
    _housekeeper.start()


def stop() -> None:
    """May be called twice."""
    global _housekeeper
    if _housekeeper is not None:
        _housekeeper.stop()
        _housekeeper = None
