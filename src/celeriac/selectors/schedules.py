"""The schedule in short: whether a worker carries it, what is due next, and how late it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from celery import Celery

from celeriac.broker import caller, clock
from celeriac.broker.queries import clocks
from celeriac.models import ScheduleState, Tick
from celeriac.schedule import states
from celeriac.schedule.scheduler import alias_of

#: Schedulers note once a minute what they have; one that has noted nothing for so long is gone.
_CARRIED_WITHIN = 2 * states.SEEN_EVERY + clock.seconds(30)
#: Of the ticks of the last minute as many as a monitor may read every few seconds.
_LATELY, _TICKS = clock.seconds(60), 100


@dataclass(frozen=True, slots=True)
class Outlook:
    """What schedulers have noted of the entries that they have, or had when one last ran."""

    #: Those that have not ended.
    entries: int
    is_carried: bool
    next_name: str | None = None
    next_due: datetime | None = None
    #: For how long the entry that is overdue most has been so; 0: none is.
    late_seconds: float = 0.0


def outlook(app: Celery) -> Outlook | None:
    """Of a handful of rows, one for each entry. None: no scheduler of ours has ever run here.

    Raises the database's errors.
    """
    now, rows = _noted(app)
    if not rows:
        return None
    is_carried = max(seen for _, _, seen in rows) > now - _CARRIED_WITHIN
    due = sorted((next_due, name) for name, next_due, _ in _of_last_look(rows) if next_due is not None)
    if not due:
        return Outlook(0, is_carried)
    first, name = due[0]
    moment = datetime.fromtimestamp(first / clock.MICROSECONDS, UTC)
    return Outlook(len(due), is_carried, name, moment, max(0, now - first) / clock.MICROSECONDS)


def carried(app: Celery) -> dict[str, float]:
    """The entries that a living scheduler has; for how many seconds each has been overdue, 0: it is not."""
    now, rows = _noted(app)
    found: dict[str, float] = {}
    for name, next_due, seen in rows:
        if seen > now - _CARRIED_WITHIN:
            late = max(0, now - next_due) / clock.MICROSECONDS if next_due is not None else 0.0
            found[name] = min(late, found.get(name, late))
    return found


def worst_tick_seconds(app: Celery) -> float:
    """How late the latest tick of the last minute was fired. Index: celeriac_tick_fired."""
    alias = alias_of(app)
    since = caller.run(alias, clocks.now) - _LATELY
    newest = Tick.objects.using(alias).filter(fired_at__gt=since).order_by("-fired_at")
    times = newest.values_list("due", "fired_at")[:_TICKS]
    return max((max(0, fired - due) / clock.MICROSECONDS for due, fired in times), default=0.0)


def _noted(app: Celery) -> tuple[int, list[tuple[str, int | None, int]]]:
    """The database's time, and of each entry its name, when it is next due, and when it was noted."""
    alias = alias_of(app)
    rows = ScheduleState.objects.using(alias).values_list("name", "next_due", "seen_at")
    return caller.run(alias, clocks.now), list(rows)


def _of_last_look(rows: Iterable[tuple[str, int | None, int]]) -> list[tuple[str, int | None, int]]:
    """Without what was removed before: its row is deleted later."""
    rows = list(rows)
    last = max(seen for _, _, seen in rows)
    return [row for row in rows if row[2] >= last - 2 * states.SEEN_EVERY]
