"""The schedule as people see it: each entry with its times, its last task and its state."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from celery import Celery

from celeriac.broker import caller, clock
from celeriac.broker.queries import clocks
from celeriac.models import ScheduleOrder, ScheduleState
from celeriac.schedule import beats, settings_entries, table
from celeriac.schedule.entries import Entry, Unusable, shown
from celeriac.schedule.times import is_interval

#: What was ordered for it holds again when the beat has ended.
_BEATS = "left to beat"


@dataclass(frozen=True, slots=True)
class Line:
    """An entry; what is not known is None."""

    name: str
    task: str
    #: "settings" or "table".
    source: str
    #: "on", "paused", "skips next", "disabled", "ended", "faulty"; while `celery beat` runs "left to beat".
    state: str
    schedule: str | None = None
    time_zone: str | None = None
    catch_up: str | None = None
    #: The next due time; of an interval no worker may have begun it yet.
    next_due: datetime | None = None
    #: The due time that was fired last, when, and the task.
    last_due: datetime | None = None
    last_run: datetime | None = None
    last_task_id: str | None = None
    #: Why it is faulty.
    fault: str | None = None


def lines(app: Celery, alias: str) -> list[Line]:
    """All entries, by their names. `alias`: the database of ticks and states."""
    rows = table.rows()
    hidden = {row.name for row in rows}
    of_settings = [each for each in settings_entries.entries(app) if each.name not in hidden]
    of_table = [(table.entry(app, row), row.is_enabled) for row in rows]
    states = {(state.name, state.fingerprint): state for state in ScheduleState.objects.using(alias)}
    latest: dict[str, ScheduleState] = {}
    for state in sorted(states.values(), key=lambda each: each.last_due or 0):
        latest[state.name] = state
    orders = {order.name: order for order in ScheduleOrder.objects.using(alias)}

    is_beat = beats.look(alias, caller.run(alias, clocks.now)).place is not None

    def line(entry: Entry | Unusable, *, is_enabled: bool = True) -> Line:
        if isinstance(entry, Unusable):
            source = _source(entry)
            return Line(entry.name, entry.task, source, "faulty", fault=entry.fault)
        own = states.get((entry.name, entry.fingerprint))
        found = _line(entry, own, latest.get(entry.name), orders.get(entry.name), is_enabled=is_enabled)
        return replace(found, state=_BEATS) if is_beat and not entry.is_from_table else found

    found = [*map(line, of_settings), *(line(entry, is_enabled=given) for entry, given in of_table)]
    return sorted(found, key=lambda each: each.name)


def _line(entry: Entry, own: Any, latest: Any, order: Any, *, is_enabled: bool) -> Line:
    timing = entry.timing
    state = _state(own, order, is_enabled=is_enabled)
    next_due = own.next_due if own is not None else _expected(entry)
    zone = timing.zone
    return Line(
        entry.name,
        entry.task,
        _source(entry),
        state,
        schedule=shown(timing),
        time_zone=str(zone),
        catch_up=str(entry.catch_up),
        next_due=_time(next_due, zone) if state in {"on", "skips next"} else None,
        last_due=_time(latest and latest.last_due, zone),
        last_run=_time(latest and latest.last_fired_at, zone),
        last_task_id=latest and latest.last_task_id,
    )


def _state(own: Any, order: Any, *, is_enabled: bool) -> str:
    if not is_enabled:
        return "disabled"
    if order is not None and order.is_paused:
        return "paused"
    if own is not None and own.next_due is None:
        return "ended"
    return "skips next" if order is not None and order.skips > 0 else "on"


def _expected(entry: Entry) -> int | None:
    """Of an entry that no scheduler has seen yet; an interval begins when one does."""
    timing = entry.timing
    if timing.schedule is not None and is_interval(timing.schedule) and timing.starts_at is None:
        return None
    return timing.first(clock.now())


def _source(entry: Entry | Unusable) -> str:
    return "table" if entry.is_from_table else "settings"


def _time(moment: int | None, zone: tzinfo) -> datetime | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment / clock.MICROSECONDS, UTC).astimezone(zone)
