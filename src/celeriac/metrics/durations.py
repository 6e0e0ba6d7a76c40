"""How long tasks ran, as a histogram: of each limit, how many were no longer."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

#: In seconds. What is stored counts by their order: new ones go to the end of a new table, not between these.
LIMITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(slots=True)
class Durations:
    """Runs that have ended."""

    count: int = 0
    seconds: float = 0.0
    #: For each of LIMITS the runs within it, the shorter ones too.
    within: list[int] = field(default_factory=lambda: [0] * len(LIMITS))

    def add(self, seconds: float) -> None:
        """Count one run."""
        self.count += 1
        self.seconds += seconds
        for place in range(bisect_left(LIMITS, seconds), len(LIMITS)):
            self.within[place] += 1

    def merge(self, count: int, seconds: float, within: Sequence[int]) -> None:
        """Count runs that are counted already."""
        self.count += count
        self.seconds += seconds
        for place, each in enumerate(within[: len(LIMITS)]):
            self.within[place] += each
