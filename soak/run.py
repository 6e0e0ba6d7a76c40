"""A run: every row on every system that it is for, one after the other, each with its seed printed before."""

from dataclasses import dataclass, field

from benchmarks import machine
from benchmarks.limits import MeasurementFailed
from benchmarks.machine import Machine
from benchmarks.places import Unreachable
from benchmarks.progress import say
from soak.faults import Fault
from soak.options import Options
from soak.performing import Outcome, perform
from soak.project import Project
from soak.sides import Side
from soak.stage import Stage, stage


@dataclass(slots=True)
class Records:
    """Of one run; also what `reliability.json` holds."""

    machine: Machine
    size: str
    outcomes: list[Outcome] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[Outcome]:
        """Runs of ours in which the promise did not hold."""
        return [each for each in self.outcomes if each.complaints and each.side.startswith("celeriac-")]


def run(options: Options) -> Records:
    """Do it. A system that cannot take part is left out and named."""
    records = Records(machine.look(), options.size)
    with stage() as made:
        for side in options.sides:
            try:
                project = _prepared(made, side)
            except (Unreachable, MeasurementFailed) as error:
                records.left_out.append(f"{side.title}: {error}")
                say(f"left out: {records.left_out[-1]}")
                continue
            for fault in options.faults:
                for seed in options.seeds if is_for(fault, side) else []:
                    say(f"{side.name} {fault.row} seed {seed}")
                    records.outcomes.append(perform(project, fault, options.sizes, seed))
                    say(f"  {_shown(records.outcomes[-1])}")
    records.machine.load_after = machine.load()
    return records


def _prepared(made: Stage, side: Side) -> Project:
    reason = side.reason_missing()
    if reason is not None:
        raise Unreachable(reason)
    say(f"preparing {side.name}")
    return made.project(side)


def is_for(fault: Fault, side: Side) -> bool:
    """Whether this fault is dealt to this system."""
    if not side.is_ours:
        return side.name in fault.peers
    return len(side.needs) == 1 or not fault.is_for_databases_alone


def _shown(outcome: Outcome) -> str:
    counts = outcome.counts
    figures = f"acknowledged {counts.acknowledged}, lost {counts.lost}, duplicated {counts.duplicated}"
    words = [f"{outcome.seconds:.0f} s: {figures}, stuck {counts.stuck}"]
    words += (
        [", ".join(f"{what} {value:g}" for what, value in outcome.figures.items())] if outcome.figures else []
    )
    words += outcome.complaints
    return "\n  ".join(words)
