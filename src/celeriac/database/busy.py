"""What a busy database refuses is done again, after longer and longer pauses, while somebody has time."""

import itertools
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error

from celeriac.database import failures

T = TypeVar("T")

#: How long a busy database is tried again before it is reported. By the clock: a try may wait for a lock.
PATIENCE_SECONDS = 10.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.4


def done_again(work: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """Do `work`, which may happen twice; raises the database's error when it stays busy, or any other."""
    deadline = time.monotonic() + patience_seconds
    for attempt in itertools.count():
        try:
            return work()
        except Error as error:
            if not failures.is_busy(error) or time.monotonic() >= deadline:
                raise
        # Nobody tells of a lock that is free; ever longer, for others wait too.
        longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)
        # Jitter: two that collided must not meet again.
        time.sleep(random.uniform(0.5, 1.0) * longest)  # noqa: S311 - not a secret
    raise AssertionError("unreachable")
