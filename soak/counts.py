"""Jepsen's counts of a row, from its ledger alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from soak.ledger import Ledger, Start


@dataclass(frozen=True, slots=True)
class Blow:
    """A process that was made to end or to stand still, and when."""

    moment: float
    process: int


@dataclass(slots=True)
class Counts:
    """Of one row."""

    attempted: int
    acknowledged: int
    #: Numbers that ran to their end at least once.
    executed: int
    #: Acknowledged, and never ran to their end; without those that must not or cannot.
    lost: int
    #: Runs beyond the first one of each number that can run to its end.
    duplicated: int
    #: Numbers that ran and were never attempted.
    unexpected: int
    #: Numbers that ran although they must not.
    forbidden: int
    #: Messages, tasks and chords that had not come to an end when nothing moved any more.
    stuck: int
    #: Seconds from each blow to the next run of what ran in that moment, in order.
    recovered: list[float]

    @property
    def recovered_p95(self) -> float | None:
        """The smallest time that 95 % do not exceed; None: nothing had to recover."""
        times = self.recovered
        return times[max(0, math.ceil(0.95 * len(times)) - 1)] if times else None

    @property
    def recovered_max(self) -> float | None:
        return max(self.recovered, default=None)


def count(
    ledger: Ledger, blows: Sequence[Blow], *, forbidden: set[int], hopeless: set[int], stuck: int
) -> Counts:
    """Count it; the ledger has been looked at for the last time."""
    runs = ledger.runs
    hopeful = {number: times for number, times in runs.items() if number not in hopeless}
    return Counts(
        attempted=len(ledger.attempted),
        acknowledged=len(ledger.acknowledged),
        executed=len(ledger.ended),
        lost=len(ledger.acknowledged.keys() - ledger.ended - forbidden - hopeless),
        duplicated=sum(hopeful.values()) - len(hopeful),
        unexpected=len(runs.keys() - ledger.attempted),
        forbidden=len(runs.keys() & forbidden),
        stuck=stuck,
        recovered=sorted(time for blow in blows for time in _recoveries(ledger, blow)),
    )


def _recoveries(ledger: Ledger, blow: Blow) -> list[float]:
    """How long each number that ran at the blow waited for its next run."""
    struck = {start.number for start in ledger.starts if _was_running(ledger, start, blow)}
    again: dict[int, float] = {}
    for start in ledger.starts:
        if start.number in struck and start.moment > blow.moment:
            again[start.number] = min(start.moment, again.get(start.number, math.inf))
    return [moment - blow.moment for moment in again.values()]


def _was_running(ledger: Ledger, start: Start, blow: Blow) -> bool:
    if blow.process not in {start.process, start.parent} or start.moment > blow.moment:
        return False
    return ledger.ends.get((start.number, start.process), math.inf) > blow.moment
