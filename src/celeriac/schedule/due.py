"""Which due times of an entry are published now, by its policy for those that nobody dealt with in time."""

from dataclasses import dataclass

from celeriac.models import CatchUp
from celeriac.schedule.entries import Entry

#: Of an entry that catches up on all; then the others have their turn.
_MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of what is due."""

    #: In order.
    published: list[int]
    #: None: the entry has ended.
    next_due: int | None
    #: Whether due times were passed over.
    has_missed: bool = False


def judge(entry: Entry, due: int, now: int, anchor: int) -> Verdict:
    """Of the first due time that is not dealt with, which has come, and of all after it until now."""
    oldest = -1 if entry.longest_wait is None else now - entry.longest_wait
    if entry.catch_up == CatchUp.ALL and not entry.is_one_off:
        return _all(entry, due, now, anchor, oldest)
    last = entry.timing.last(due, now, anchor)
    following = None if entry.is_one_off else entry.timing.after(last, anchor)
    if last < oldest:
        return Verdict([], entry.timing.after(last, anchor), has_missed=True)
    return Verdict([last], following, has_missed=last > due)


def _all(entry: Entry, due: int, now: int, anchor: int, oldest: int) -> Verdict:
    first: int | None = due
    if due < oldest:
        first = entry.timing.after(oldest - 1, anchor)
    has_missed = first != due
    found: list[int] = []
    while first is not None and first <= now and len(found) < _MOST_AT_ONCE:
        found.append(first)
        first = entry.timing.after(first, anchor)
    return Verdict(found, first, has_missed)
