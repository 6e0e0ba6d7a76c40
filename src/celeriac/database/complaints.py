"""An outage is told when it begins and every ten seconds, however often it is tried to end it."""

import logging
import time

_EVERY_SECONDS = 10.0


class Complaints:
    """The lines of one thread about one thing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._again_at = float("-inf")

    def say(self, level: int, text: str, *details: object) -> None:
        """Log the line, unless one was logged a moment ago."""
        now = time.monotonic()
        if now >= self._again_at:
            self._again_at = now + _EVERY_SECONDS
            self._logger.log(level, text, *details)
