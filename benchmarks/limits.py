"""Waiting with an end: whatever hangs becomes an error of its measurement."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.01


class MeasurementFailed(Exception):
    """A measurement came to no figure; the text says why."""


def wait_until(condition: Callable[[], bool], what: str, *, limit_seconds: float) -> None:
    """Look often until the condition holds. Raises MeasurementFailed."""
    end = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > end:
            raise MeasurementFailed(f"not within {limit_seconds:.0f} s: {what}")
        time.sleep(LOOK_SECONDS)
