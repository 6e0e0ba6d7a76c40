"""When an entry is due: Celery's own schedules, asked for the first due time after any moment.

Moments are microseconds, as the broker's. A cron expression is about the clock on the wall. Celery is asked
with that clock's time in place of UTC, where no hour is missing or comes twice; what the wall's time means is
said here: when the clock is put forward, what was due in the hour that is missing comes that much later;
when it is put back, an entry of certain hours is due in the first of both, and one of every hour in both.
"""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from celery.schedules import BaseSchedule, crontab, schedule, solar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE, _ROUNDING = 60_000_000, 1_000_000
#: No clock is put forward by more.
_LONGEST_GAP = timedelta(hours=2)
#: Due times that are looked through to get past an hour that comes twice.
_MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Timing:
    """Says when an entry is due. `anchor` is the moment from which its interval counts."""

    #: None: `at` alone counts.
    schedule: BaseSchedule | None
    zone: tzinfo
    at: int | None = None
    starts_at: int | None = None
    ends_at: int | None = None

    def first(self, now: int) -> int | None:
        """The first due time of an entry that is seen for the first time now; None: there is none."""
        if self.at is not None:
            return self.at
        if self.starts_at is not None and self.starts_at > now:
            # What begins at a moment may be due at it.
            return self.after(self.starts_at - 1, self.starts_at)
        return self.after(now, self.anchor(now))

    def anchor(self, now: int) -> int:
        """Where the intervals of an entry begin that is seen for the first time now."""
        return now if self.starts_at is None else self.starts_at

    def after(self, moment: int, anchor: int) -> int | None:
        """The first due time after the moment; None: there is none."""
        if self.at is not None:
            return self.at if self.at > moment else None
        found = self._after(moment, anchor)
        return found if self.ends_at is None or found <= self.ends_at else None

    def last(self, due: int, until: int, anchor: int) -> int:
        """The last due time not after `until`, where `due` is one."""
        if self.at is not None:
            return due
        window = _MINUTE
        while until - window > due:
            found = self.after(until - window, anchor)
            if found is not None and found <= until:
                due = found
                break
            window *= 2
        while (following := self.after(due, anchor)) is not None and following <= until:
            due = following
        return due

    def _after(self, moment: int, anchor: int) -> int:
        assert self.schedule is not None
        if is_interval(self.schedule):
            every = self.schedule.run_every // _MICROSECOND
            # An anchor is due itself where it lies ahead, as `starts_at` does.
            return anchor if moment < anchor else anchor + ((moment - anchor) // every + 1) * every
        if isinstance(self.schedule, crontab | schedule):
            return _as_moment(_after_on_wall(self.schedule, _as_time(moment), self.zone))
        return _after_in_utc(self.schedule, moment)


def is_interval(given: BaseSchedule) -> bool:
    """Whether its due times are a number of seconds apart, and nothing else."""
    kind = type(given)
    is_celerys = kind.remaining_estimate is schedule.remaining_estimate and kind.is_due is schedule.is_due
    return is_celerys and not given.relative


def _after_on_wall(given: Any, time: datetime, zone: tzinfo) -> datetime:
    """The first due time by the clock of this zone after an aware time."""
    if isinstance(given, crontab) and len(given.hour) == 24:
        # Of every hour: as if the clock were not changed, where that gives a time that is meant.
        offset = time.astimezone(zone).utcoffset() or timedelta()
        found = (_next(given, time.replace(tzinfo=None) + offset) - offset).replace(tzinfo=UTC)
        if _is_meant(given, found.astimezone(zone)):
            return found
    found = _after_wall(given, time, time.astimezone(zone).replace(tzinfo=None), zone)
    # In the hour after a change forward the one that is missing is gone through.
    before = (time - _LONGEST_GAP).astimezone(zone).utcoffset() or timedelta()
    if before < (time.astimezone(zone).utcoffset() or timedelta()):
        late = _after_wall(given, time, time.replace(tzinfo=None) + before, zone)
        return min(found, late)
    return found


def _after_wall(given: Any, time: datetime, wall: datetime, zone: tzinfo) -> datetime:
    """The first due time behind this time on the wall that is after the aware time."""
    for _ in range(_MOST_STEPS):
        wall = _next(given, wall)
        # Of an hour that comes twice this is the first; a missing one is counted from before the change.
        found = wall.replace(tzinfo=zone).astimezone(UTC)
        if found > time:
            return found
    raise ValueError(f"no due time of {given!r} was found after {time}")


def _is_meant(given: crontab, local: datetime) -> bool:
    return (
        local.minute in given.minute
        and local.hour in given.hour
        and local.day in given.day_of_month
        and local.month in given.month_of_year
        and local.isoweekday() % 7 in given.day_of_week
    )


def _next(given: BaseSchedule, wall: datetime) -> datetime:
    """Celery's next time after a time on the wall, both without a zone."""
    last = wall.replace(tzinfo=UTC)
    return (last + asked_at(given, last).remaining_estimate(last)).replace(tzinfo=None)


def _after_in_utc(given: BaseSchedule, moment: int) -> int:
    """Of solar events, and of a project's own classes."""
    # An event that is computed from its own time may be found again a moment later.
    least = moment + _ROUNDING * isinstance(given, solar)
    last = moment
    for _ in range(_MOST_STEPS):
        time = _as_time(last)
        found = _as_moment(time + asked_at(given, time).remaining_estimate(time))
        if found > least:
            return found
        last += _MINUTE
    raise ValueError(f"no due time of {given!r} was found after {_as_time(moment)}")


def asked_at(given: BaseSchedule, time: datetime) -> Any:
    """A copy whose now is this time, in a zone without changes."""
    asked = copy.copy(given)
    asked.nowfun = lambda: time
    vars(asked).update(tz=UTC, utc_enabled=True)
    return asked


def _as_time(moment: int) -> datetime:
    return _EPOCH + timedelta(microseconds=moment)


def _as_moment(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
