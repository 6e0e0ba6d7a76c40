"""The schedule in short: whether a worker carries it, what is due next, and how late it is."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery

from celeriac.broker import caller, clock
from celeriac.broker.queries import clocks
from celeriac.models import ScheduleState, Tick
from celeriac.schedule import beats, states
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
    #: Where a beat of Celery's runs, to which the entries of the settings are left.
    beat: str | None = None


def outlook(app: Celery) -> Outlook | None:
    """Of a handful of rows, one for each entry. None: no scheduler of ours has ever run here.

    Raises the database's errors.
    """
    now, rows = _noted(app)
    if not rows:
        return None
    is_carried = max(row.seen_at for row in rows) > now - _CARRIED_WITHIN
    beat = beats.look(alias_of(app), now).place
    left = [row for row in _of_last_look(rows) if row.next_due is not None]
    # What the beat does not send it may have another word about, as in a table of its own.
    due = sorted(
        (row.next_due, row.name) for row in left if beat is None or row.is_from_table or row.next_due > now
    )
    if not due:
        return Outlook(len(left), is_carried, beat=beat)
    first, name = due[0]
    moment = datetime.fromtimestamp(first / clock.MICROSECONDS, UTC)
    late = max(0, now - first) / clock.MICROSECONDS
    return Outlook(len(left), is_carried, name, moment, late, beat)


def carried(app: Celery) -> dict[str, float]:
    """The entries that a living scheduler has; for how many seconds each has been overdue, 0: it is not."""
    now, rows = _noted(app)
    found: dict[str, float] = {}
    for row in rows:
        if row.seen_at > now - _CARRIED_WITHIN:
            late = max(0, now - row.next_due) / clock.MICROSECONDS if row.next_due is not None else 0.0
            found[row.name] = min(late, found.get(row.name, late))
    return found


def worst_tick_seconds(app: Celery) -> float:
    """How late the latest tick of the last minute was fired. Index: celeriac_tick_fired."""
    alias = alias_of(app)
    since = caller.run(alias, clocks.now) - _LATELY
    newest = Tick.objects.using(alias).filter(fired_at__gt=since).order_by("-fired_at")
    times = newest.values_list("due", "fired_at")[:_TICKS]
    return max((max(0, fired - due) / clock.MICROSECONDS for due, fired in times), default=0.0)


def _noted(app: Celery) -> tuple[int, list[Any]]:
    """The database's time, and the state of each entry."""
    alias = alias_of(app)
    return caller.run(alias, clocks.now), list(ScheduleState.objects.using(alias))


def _of_last_look(rows: list[Any]) -> list[Any]:
    """Without what was removed before: its row is deleted later."""
    last = max(row.seen_at for row in rows)
    return [row for row in rows if row.seen_at >= last - 2 * states.SEEN_EVERY]
