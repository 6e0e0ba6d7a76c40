"""What came of one run or of several put together; `reliability.json` holds it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.machine import Machine
from soak.counts import Counts
from soak.performing import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """Where, when and how long rows were dealt."""

    size: str
    machine: Machine


@dataclass(slots=True)
class Records:
    """Each outcome says by its place in `runs` which run it is of."""

    runs: list[Run]
    outcomes: list[Outcome] = field(default_factory=list)
    #: Why a system could not take part, by its name.
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[Outcome]:
        """Runs of ours in which the promise did not hold."""
        return [each for each in self.outcomes if each.complaints and each.is_ours]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return asdict(self)


def from_json(values: dict[str, Any]) -> Records:
    """What `as_json` gave."""
    return Records(
        runs=[Run(each["size"], Machine(**each["machine"])) for each in values["runs"]],
        outcomes=[Outcome(**{**each, "counts": Counts(**each["counts"])}) for each in values["outcomes"]],
        left_out=values["left_out"],
    )


def merged(newest: Records, *others: Records) -> Records:
    """All of the newest; of each other the rows on systems that those before it have not, with all seeds."""
    found = Records(list(newest.runs), list(newest.outcomes), dict(newest.left_out))
    for other in others:
        _add(found, other)
    found.left_out = {name: why for name, why in found.left_out.items() if not _has(found.outcomes, name)}
    return found


def _add(found: Records, other: Records) -> None:
    there = {(each.row, each.side) for each in found.outcomes}
    found.outcomes += [
        replace(each, run=each.run + len(found.runs))
        for each in other.outcomes
        if (each.row, each.side) not in there
    ]
    found.runs += other.runs
    found.left_out = {**other.left_out, **found.left_out}


def _has(outcomes: Iterable[Outcome], name: str) -> bool:
    return any(each.side == name for each in outcomes)
