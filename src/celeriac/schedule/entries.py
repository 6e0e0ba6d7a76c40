"""An entry of the schedule, wherever it is written: what is due when, and what is published then."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from celery.schedules import crontab, schedule, solar

from celeriac.broker import clock
from celeriac.models import CatchUp, lengths
from celeriac.models.schedule_fields import LEAST_SECONDS
from celeriac.schedule.times import Timing, is_interval

#: What is later than this has been missed, where nothing is to be caught up.
_GRACE_OF_SKIP = clock.seconds(60)
#: The last year of Python's calendar, in any time zone.
_LATEST = clock.parse("9999-01-01")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """Of CELERY_BEAT_SCHEDULE, of `add_periodic_task`, or of the table."""

    name: str
    task: str
    timing: Timing
    #: Evaluated at each publish, where something of it is Celery's BeatLazyFunc.
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: Of `apply_async`.
    options: Mapping[str, Any] = field(default_factory=dict)
    is_from_table: bool = False
    is_one_off: bool = False
    catch_up: str = CatchUp.ONCE
    #: In microseconds; None: no due time is too late.
    grace: int | None = None

    @property
    def fingerprint(self) -> str:
        """Another one when it is due at other times: then it begins anew."""
        timing = self.timing
        zone = "" if timing.schedule is not None and is_interval(timing.schedule) else str(timing.zone)
        parts = (shown(timing), zone, timing.at, timing.starts_at, timing.ends_at, self.is_one_off)
        return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()

    @property
    def longest_wait(self) -> int | None:
        """What is later than this, in microseconds, is not published any more."""
        return _GRACE_OF_SKIP if self.grace is None and self.catch_up == CatchUp.SKIP else self.grace


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry that cannot be scheduled; the others go on."""

    name: str
    task: str
    fault: str
    is_from_table: bool = False


def check(name: str, task: str, timing: Timing) -> None:
    """Raises ValueError where the scheduler could not do with it."""
    if (fault := lengths.fault_of(name)) is not None:
        raise ValueError(f"its name {fault}")
    if (fault := lengths.fault_of(task, lengths.LONG_NAME_LENGTH)) is not None or not task:
        raise ValueError(f"its task {fault or 'is empty'}")
    given = timing.schedule
    if isinstance(given, schedule) and given.run_every < timedelta(seconds=LEAST_SECONDS):
        raise ValueError(f"its interval is shorter than {LEAST_SECONDS} s")
    # What can be asked now can be asked later.
    shown(timing)
    if (timing.first(clock.now()) or 0) > _LATEST:
        raise ValueError("it is not due before the year 9999")


def shown(timing: Timing) -> str:
    """When it is due, in a few words."""
    given = timing.schedule
    if given is None:
        return f"at {_in_zone(timing.at, timing.zone)}"
    if isinstance(given, crontab):
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return f"cron {' '.join(_field(getattr(given, f'_orig_{each}')) for each in fields)}"
    if isinstance(given, solar):
        return f"solar {given.event} {given.lat} {given.lon}"
    if isinstance(given, schedule):
        seconds = given.run_every.total_seconds()
        return f"every {seconds:g} s{', rounded' if given.relative else ''}"
    return _ADDRESS.sub("", repr(given))


def _field(given: Any) -> str:
    return str(given) if isinstance(given, str | int) else ",".join(map(str, sorted(given)))


def _in_zone(moment: int | None, zone: tzinfo) -> str:
    return (
        datetime.fromtimestamp((moment or 0) / clock.MICROSECONDS, UTC)
        .astimezone(zone)
        .isoformat(" ", "seconds")
    )
