"""What a run found: every value, what failed, who was left out; and the medians and percentiles of it."""

import math
import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from benchmarks.machine import Machine


@dataclass(slots=True)
class Records:
    """Of one run; also what `benchmark.json` holds."""

    machine: Machine
    sizes: dict[str, float]
    rounds: int
    #: Values of each visit: (contestant, pool, figure) and then a list for each round.
    values: dict[tuple[str, str, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    #: Contestants and pools that are not asked again.
    hanging: set[tuple[str, str]] = field(default_factory=set)
    minutes: float = 0.0

    def add(self, contestant: str, pool: str, figures: dict[str, list[float]]) -> None:
        for figure, values in figures.items():
            self.values[contestant, pool, figure].append(values)

    def median(self, contestant: str, pool: str, figure: str) -> float | None:
        """The median of the rounds; None where nothing was measured."""
        everything = self._all(contestant, pool, figure)
        return statistics.median(everything) if everything else None

    def percentile(self, contestant: str, pool: str, figure: str, share: float) -> float | None:
        """The smallest value that so large a share of all does not exceed."""
        everything = sorted(self._all(contestant, pool, figure))
        return everything[max(0, math.ceil(share * len(everything)) - 1)] if everything else None

    def spread(self, contestant: str, pool: str, figure: str) -> tuple[float, float] | None:
        """The least and the greatest of the rounds."""
        everything = self._all(contestant, pool, figure)
        return (min(everything), max(everything)) if everything else None

    def _all(self, contestant: str, pool: str, figure: str) -> list[float]:
        return [value for values in self.values.get((contestant, pool, figure), []) for value in values]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        whole = {name: getattr(self, name) for name in ("sizes", "rounds", "failures", "left_out", "minutes")}
        values = [
            {"contestant": contestant, "pool": pool, "figure": figure, "rounds": rounds}
            for (contestant, pool, figure), rounds in self.values.items()
        ]
        return {"machine": asdict(self.machine), **whole, "values": values}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        values = content.pop("values")
        records = cls(machine=Machine(**content.pop("machine")), **content)
        for each in values:
            records.values[each["contestant"], each["pool"], each["figure"]] = each["rounds"]
        return records
