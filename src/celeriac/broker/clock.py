"""The broker's unit of time: whole microseconds since 1970 in UTC."""

import time
from datetime import UTC, datetime

MICROSECONDS = 1_000_000


def now() -> int:
    """The time of this host, in microseconds."""
    return time.time_ns() // 1000


def seconds(value: float) -> int:
    """A length of time in seconds, as microseconds."""
    return int(value * MICROSECONDS)


def parse(moment: str | datetime) -> int:
    """An ISO 8601 moment, as Celery writes `eta`; without a zone it means UTC. Raises ValueError."""
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return int(value.timestamp() * MICROSECONDS)
