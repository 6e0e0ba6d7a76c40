"""How far each entry has come: rows that all schedulers share. The clock is the database's."""

from collections.abc import Iterable, Sequence, Set
from typing import Any

from django.db.models import QuerySet

from celeriac.broker import clock
from celeriac.models import ScheduleState
from celeriac.schedule.entries import Entry

#: How often it is noted that an entry is still there, and how long after the last note it is gone: longer
#: than a deployment takes, in which workers with another schedule are still there.
SEEN_EVERY = clock.seconds(60)
GONE_AFTER = clock.seconds(600)


def of(alias: str, entries: Iterable[Entry], now: int) -> dict[str, ScheduleState]:
    """The state of each entry, by its name; made for those that are new."""
    wanted = {entry.name: entry for entry in entries}
    found = _found(alias, wanted)
    if missing := [entry for name, entry in wanted.items() if name not in found]:
        rows(alias).bulk_create([_begun(entry, now) for entry in missing], ignore_conflicts=True)
        found = _found(alias, wanted)
    return found


def note_seen(alias: str, states: Iterable[ScheduleState], now: int) -> None:
    """Say that these entries are still there; one of all schedulers does, once a minute."""
    old = [state.pk for state in states if state.seen_at < now - SEEN_EVERY]
    if old:
        rows(alias).filter(pk__in=old, seen_at__lt=now - SEEN_EVERY).update(seen_at=now)


def forget_disabled(alias: str, entries: Sequence[Entry], kept: Set[str]) -> None:
    """Delete the states of the table's entries that are not enabled any more, or are due at other times.

    `kept`: names of entries that cannot be scheduled on this host; another host may be able to.
    """
    known = {(entry.name, entry.fingerprint) for entry in entries if entry.is_from_table}
    found = rows(alias).filter(is_from_table=True).values_list("pk", "name", "fingerprint")
    if gone := [pk for pk, *key in found if tuple(key) not in known and key[0] not in kept]:
        rows(alias).filter(pk__in=gone).delete()


def forget_gone(alias: str, now: int) -> None:
    """Delete the states of entries that no scheduler has; only by one that has run for GONE_AFTER itself."""
    rows(alias).filter(seen_at__lt=now - GONE_AFTER).delete()


def rows(alias: str) -> QuerySet[Any]:
    return ScheduleState.objects.using(alias)


def _found(alias: str, wanted: dict[str, Entry]) -> dict[str, ScheduleState]:
    prints = {name: entry.fingerprint for name, entry in wanted.items()}
    return {
        state.name: state
        for state in rows(alias).filter(fingerprint__in=set(prints.values()))
        if prints.get(state.name) == state.fingerprint
    }


def _begun(entry: Entry, now: int) -> ScheduleState:
    return ScheduleState(
        name=entry.name,
        fingerprint=entry.fingerprint,
        is_from_table=entry.is_from_table,
        anchor=entry.timing.anchor(now),
        next_due=entry.timing.first(now),
        seen_at=now,
    )
