"""What people order for entries by name: pause, resume, skip the next, run now."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from celery import Celery
from celery.utils import uuid
from django.db.models import F

from celeriac.broker.errors import BrokerRefused
from celeriac.errors import CeleriacError, UnknownSchedule
from celeriac.models import ScheduleOrder
from celeriac.schedule import overview, settings_entries, table, ticks
from celeriac.schedule.entries import Entry
from celeriac.schedule.scheduler import alias_of


def pause(app: Celery, names: Sequence[str]) -> None:
    """Let these fire nothing until they are resumed; what becomes due meanwhile is not made up for.

    Raises UnknownSchedule.
    """
    _change(app, names, is_paused=True)


def resume(app: Celery, names: Sequence[str]) -> None:
    """Let these fire again, from their next due time on, also one to be skipped. Raises UnknownSchedule."""
    _change(app, names, is_paused=False, skips=0)


def skip(app: Celery, names: Sequence[str]) -> None:
    """Leave the next due time of each out; said twice, the next two. Raises UnknownSchedule."""
    _change(app, names, skips=F("skips") + 1)


def usable(app: Celery, names: Sequence[str]) -> list[Entry]:
    """The entries with these names, disabled or not. Raises UnknownSchedule."""
    entries = {each.name: each for each in _all_usable(app)}
    check(names, list(entries))
    return [entries[name] for name in names]


def run(app: Celery, entry: Entry) -> Any:
    """Publish its task now, beside its due times. Raises CeleriacError where that cannot be."""
    try:
        return ticks.publish(app, entry, uuid())
    except BrokerRefused as error:
        raise CeleriacError(f"Schedule {entry.name!r}: {error}") from error
    except TypeError as error:
        raise CeleriacError(
            f"Schedule {entry.name!r}: {entry.task} does not take its arguments: {error}."
        ) from error


def _all_usable(app: Celery) -> list[Entry]:
    rows = table.rows()
    hidden = {row.name for row in rows}
    of_settings = (each for each in settings_entries.entries(app) if each.name not in hidden)
    found = [*of_settings, *(table.entry(app, row) for row in rows)]
    return [each for each in found if isinstance(each, Entry)]


def _change(app: Celery, names: Sequence[str], **values: Any) -> None:
    alias = alias_of(app)
    check(names, [line.name for line in overview.lines(app, alias)])
    orders = ScheduleOrder.objects.using(alias)
    orders.bulk_create([ScheduleOrder(name=name) for name in names], ignore_conflicts=True)
    orders.filter(name__in=names).update(**values)


def check(names: Sequence[str], known: Sequence[str]) -> None:
    """Raises UnknownSchedule for a name that is not known."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"Did you mean {near[0]!r}?" if near else "See them all: manage.py celery schedule"
            raise UnknownSchedule(f"No usable entry of the schedule is called {name!r}. {meant}")
