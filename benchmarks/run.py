"""A run: rounds of visits, one contestant after the other, so that what else goes on strikes all alike."""

import time
from dataclasses import asdict, dataclass

from benchmarks import machine
from benchmarks.contestants import Contestant
from benchmarks.measures import MEASURES, ONCE
from benchmarks.progress import say
from benchmarks.project import Project
from benchmarks.records import Records
from benchmarks.sizes import Sizes
from benchmarks.stage import prepared, stage
from benchmarks.visit import Figures, Visit


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do."""

    contestants: list[Contestant]
    measures: list[str]
    sizes: Sizes
    rounds: int
    #: A round that would not end by then, if it took as long as the longest, is left out.
    minutes: float


def run(plan: Plan) -> Records:
    """Do it. A measurement that fails is recorded; the run goes on."""
    records = Records(machine.look(), asdict(plan.sizes), plan.rounds)
    begin = time.monotonic()
    with stage() as made:
        projects, records.left_out = prepared(made, plan.contestants)
        longest = 0.0
        for number in range(plan.rounds):
            passed = time.monotonic() - begin
            if passed + longest > 60 * plan.minutes:
                records.failures.append(
                    f"round {number + 1} was left out, not to take over {plan.minutes:.0f} minutes"
                )
                say(records.failures[-1])
                break
            _round(plan, records, projects, number)
            longest = max(longest, time.monotonic() - begin - passed)
    records.machine.load_after = machine.load()
    records.minutes = round((time.monotonic() - begin) / 60, 1)
    return records


def _round(plan: Plan, records: Records, projects: list[Project], number: int) -> None:
    for project in projects:
        for position, pool in enumerate(project.contestant.pools):
            wanted = [
                name
                for name in plan.measures
                if name in project.contestant.measures
                and (position == 0 or name == "drain")
                and (number == 0 or name not in ONCE)
            ]
            if wanted and (project.contestant.name, pool.name) not in records.hanging:
                visit = Visit(project, pool, plan.sizes)
                _visit(records, visit, wanted, f"round {number + 1}/{plan.rounds}")


def _visit(records: Records, visit: Visit, wanted: list[str], where: str) -> None:
    """Until a measure fails: the next ones would only fail too, in this round and in the others."""
    name, pool = visit.contestant.name, visit.pool.name
    try:
        for measure in wanted:
            try:
                figures = MEASURES[measure](visit)
            except Exception as error:  # noqa: BLE001 - a run of many minutes does not end with one contestant
                records.failures.append(
                    f"{visit.contestant.title}, {pool}, {measure}, {where}: {error!s:.1500}"
                )
                say(f"FAILED: {records.failures[-1]}")
                records.hanging.add((name, pool))
                return
            records.add(name, pool, figures)
            say(f"{where}  {name} {pool}: {_shown(figures)}")
    finally:
        visit.end()


def _shown(figures: Figures) -> str:
    medians = {figure: sorted(values)[len(values) // 2] for figure, values in figures.items()}
    return ", ".join(f"{figure} {value:,.1f}" for figure, value in medians.items())
