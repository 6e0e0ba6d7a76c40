"""A worker that knows what was revoked before it came, and what it was not told.

Celery's own set of revoked tasks is filled from the table: when remote control listens, and now and then,
for a message of remote control may be lost, and what is three hours old falls out of the set.
"""

import logging
import math
import time
from datetime import timedelta
from typing import Any

from celery import bootsteps
from celery.utils.functional import maybe_list
from celery.worker import state
from celery.worker.consumer.control import Control
from celery.worker.consumer.tasks import Tasks
from django.db import Error, connections
from django.utils import timezone

from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line
from celeriac.results import revocations
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0
#: Each look goes back as far: a transaction may be so long, and a clock so wrong.
_OVERLAP = timedelta(minutes=10)
#: All of them again, for Celery forgets one after three hours.
_ALL_SECONDS = 3600.0


class Revoked(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    # Behind remote control: what is revoked from then on is told, and what was before is read.
    requires = (Tasks, Control)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._read_all_at = -math.inf
        self._timer: Any = None
        self._complaints = Complaints(logger)

    def start(self, consumer: Any) -> None:
        """Know them before the first task is taken."""
        self._read_all_at = -math.inf
        self._read()
        self._timer = consumer.timer.call_repeatedly(_LOOK_SECONDS, self._read)

    def stop(self, consumer: Any) -> None:
        """The connection goes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read(self) -> None:
        """Never raises because of the database: the messages would not come either."""
        now = time.monotonic()
        has_all = now - self._read_all_at < _ALL_SECONDS
        try:
            for header, value in revocations.since(timezone.now() - _OVERLAP if has_all else None):
                _revoke(header, value)
            self._read_all_at = self._read_all_at if has_all else now
        except Error as error:
            self._complaints.say(
                logging.WARNING, "What was revoked cannot be read now: %s", first_line(error)
            )
        finally:
            # Celery renews no connection of this thread.
            connections[results_alias()].close()


def _revoke(header: str, value: str) -> None:
    if header:
        known = maybe_list(state.revoked_stamps.get(header)) or []
        if value not in known:
            state.revoked_stamps[header] = [*known, value]
        return
    # Else the oldest would fall out of the set to make room.
    state.revoked.maxlen = max(state.revoked.maxlen, 2 * len(state.revoked) + 2)
    state.revoked.add(value)
