"""A run: every row on every system that it is for, one after the other, each with its seed printed before."""

from collections.abc import Callable

from benchmarks import machine
from benchmarks.limits import MeasurementFailed
from benchmarks.places import Unreachable
from benchmarks.progress import say
from soak.faults import Fault
from soak.options import Options
from soak.performing import Outcome, perform
from soak.project import Project
from soak.records import Records, Run
from soak.sides import Side
from soak.stage import Stage, stage


def run(options: Options, keep: Callable[[Records], None]) -> Records:
    """Do it, and `keep` what there is after each row. Who cannot take part is left out and named."""
    records = Records([Run(options.size, machine.look())])
    with stage() as made:
        for number, (side, fault, seed) in enumerate(plan := _plan(options), 1):
            name = f"{side.name} {fault.row}" if fault.crashes_server else side.name
            if records.left_out.keys() & {name, side.name}:
                continue
            try:
                project = _prepared(made, side, fault)
            except (Unreachable, MeasurementFailed) as error:
                records.left_out[name] = str(error)
                say(f"left out: {name}: {error}")
                continue
            say(f"{number}/{len(plan)}  {side.name} {fault.row} seed {seed}: {fault.title}")
            records.outcomes.append(perform(project, fault, options.sizes, seed))
            say(f"  {_shown(records.outcomes[-1])}")
            records.runs[0].machine.load_after = machine.load()
            keep(records)
    return records


def _plan(options: Options) -> list[tuple[Side, Fault, int]]:
    return [
        (side, fault, seed)
        for side in options.sides
        for fault in options.faults
        if is_for(fault, side)
        for seed in options.seeds
    ]


def _prepared(made: Stage, side: Side, fault: Fault) -> Project:
    reason = side.reason_missing()
    if reason is not None:
        raise Unreachable(reason)
    return made.project(side, has_own_server=fault.crashes_server)


def is_for(fault: Fault, side: Side) -> bool:
    """Whether this fault is dealt to this system."""
    if not side.is_ours:
        return side.name in fault.peers
    if fault.crashes_server:
        return side.needs in {("postgresql",), ("mariadb",)}
    return len(side.needs) == 1 or not fault.is_for_databases_alone


def _shown(outcome: Outcome) -> str:
    counts = outcome.counts
    figures = f"acknowledged {counts.acknowledged}, lost {counts.lost}, duplicated {counts.duplicated}"
    words = [f"{outcome.seconds:.0f} s: {figures}, stuck {counts.stuck}"]
    words += [outcome.beside] if outcome.beside else []
    return "\n  ".join([*words, *outcome.complaints])
