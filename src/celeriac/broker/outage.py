"""Living through an outage of the database without Celery's consumer noticing.

Celery answers a lost connection by beginning anew: it forgets which tasks run, and their acks never come,
so that each of them runs again. Our tags name rows and outlive every connection; so the loop just
looks again later, the running tasks go on, and what they decided is written when the database is back.
"""

import logging
import time
from collections.abc import Callable

from django.db import Error

from celeriac.broker.errors import BrokerBusy, BrokerConnectionLost, BrokerRefused
from celeriac.database.complaints import Complaints

logger = logging.getLogger(__name__)

#: How long the loop leaves the database alone after a failure, the first time and at the most.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0
#: A lock of another transaction is everyday, and soon free.
_FIRST_PAUSE_WHEN_BUSY_SECONDS, _QUIET_WHEN_BUSY_SECONDS = 0.02, 5.0


class Outage:
    """Belongs to one event loop and its thread; what was left out is run when `again` is over, in seconds."""

    def __init__(self, alias: str, again: Callable[[float], object]) -> None:
        self._alias = alias
        self._again = again
        self._began_at: float | None = None
        self._pause = 0.0
        self._again_at = 0.0
        self._is_worth_telling = False
        self._complaints = Complaints(logger)

    def guard(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action, left out for a moment after a failure; it raises no error of the database."""

        def guarded() -> None:
            if time.monotonic() < self._again_at:
                return
            try:
                action()
            except (BrokerConnectionLost, BrokerRefused, Error) as error:
                self._failed(error)
            else:
                self._succeeded()

        return guarded

    def _failed(self, error: Exception) -> None:
        now, is_busy = time.monotonic(), isinstance(error, BrokerBusy)
        self._began_at = self._began_at or now
        first = _FIRST_PAUSE_WHEN_BUSY_SECONDS if is_busy else _FIRST_PAUSE_SECONDS
        self._pause = min(max(self._pause * 2, first), _LONGEST_PAUSE_SECONDS)
        self._again_at = now + self._pause
        self._again(self._pause)
        if not is_busy or now - self._began_at >= _QUIET_WHEN_BUSY_SECONDS:
            self._is_worth_telling = True
            self._complaints.say(logging.ERROR, "No messages for now: %s", error)

    def _succeeded(self) -> None:
        if self._began_at is not None and self._is_worth_telling:
            seconds = time.monotonic() - self._began_at
            logger.warning("Database %r is back after %.1f s.", self._alias, seconds)
        self._began_at, self._pause, self._is_worth_telling = None, 0.0, False
