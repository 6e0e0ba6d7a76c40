"""Living through an outage of the database without Celery's consumer noticing.

Celery answers a lost connection by beginning anew: it forgets which tasks run, and their acks never come,
so that each of them runs again. Our tags name rows and outlive every connection; so the loop just
looks again later, the running tasks go on, and what they decided is written when the database is back.
"""

import logging
import time
from collections.abc import Callable

from django.db import Error

from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused

logger = logging.getLogger(__name__)

#: How long the loop leaves the database alone after a failure, the first time and at the most.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0
_LOG_EVERY_SECONDS = 10.0


class Outage:
    """Belongs to one event loop, and its thread."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._began_at: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._again_at = 0.0
        self._logged_at = float("-inf")

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
        now = time.monotonic()
        self._began_at = self._began_at or now
        self._again_at = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if now - self._logged_at >= _LOG_EVERY_SECONDS:
            self._logged_at = now
            logger.error("No messages for now: %s", error)

    def _succeeded(self) -> None:
        if self._began_at is not None:
            seconds = time.monotonic() - self._began_at
            logger.warning("Database %r is back after %.1f s.", self._alias, seconds)
        self._began_at, self._pause = None, _FIRST_PAUSE_SECONDS
