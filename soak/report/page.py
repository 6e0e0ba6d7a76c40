"""The page: peers side by side, whether the promise held, what was counted, where and when."""

from benchmarks.machine import Machine
from soak.faults import ALL as FAULTS
from soak.performing import Outcome
from soak.records import Records, Run
from soak.report import beside
from soak.report.cells import seconds, table
from soak.sides import ALL as SIDES
from soak.sides import SLOTS_OF_ALL, Side
from soak.sizes import SIZES

HEADS = (
    "row",
    "fault",
    "blows",
    "attempted",
    "acknowledged",
    "executed",
    "lost",
    "duplicated",
    "unexpected",
    "stuck",
    "recovered p95",
    "recovered max",
    "beside",
    "seed",
    "run",
)
WHEN = ("run", "date", "size", "load before", "load after")
TEXT = """\
# What is lost when things break

Written by `make soak`; the values are in [reliability.json](reliability.json), and [faults.md](faults.md) has
each row, what must hold, and the tests that ask for it in short. Two workers run {slots} tasks at a time, and
meanwhile faults are dealt to them. A ledger outside of the database says what the producer attempted, what
was acknowledged to it (behind an fsync), and when each run began and ended.

*lost*: acknowledged, and not run to its end by then. *duplicated*: runs beyond the first. *unexpected*: ran
and was never attempted. *stuck*: had not ended {settle} s after the last run. *recovered*: seconds from a
blow to the next run of what it struck. An exactly-once side effect cannot be had: what ran at a kill runs
again.

{verdict}
"""
#: In the order of the matrix.
ORDER = [fault.row for fault in FAULTS]


def text(records: Records) -> str:
    """The whole page."""
    parts = [_beginning(records), beside.text(records.outcomes)]
    parts += [_of_side(records, side) for side in SIDES]
    parts += [_left_out(records), _where(records)]
    return "\n".join(part for part in parts if part)


def _beginning(records: Records) -> str:
    settle = sorted({f"{SIZES[run.size].settle_seconds:.0f}" for run in _used(records).values()})
    return TEXT.format(slots=SLOTS_OF_ALL, settle=" or ".join(settle), verdict=_verdict(records))


def _verdict(records: Records) -> str:
    ours = [each for each in records.outcomes if each.is_ours]
    tasks = sum(each.counts.acknowledged for each in ours)
    if not records.broken:
        return f"**In {len(ours)} runs of Celeriac's, with {tasks:,} tasks, the promise held each time.**"
    lines = [f"**In {len(records.broken)} of {len(ours)} runs of Celeriac's something did not hold:**\n"]
    # The last is what the processes said.
    lines += [
        f"- {each.side} {each.row}, seed {each.seed}: {'; '.join(each.complaints[:-1])}"
        for each in records.broken
    ]
    return "\n".join(lines)


def _of_side(records: Records, side: Side) -> str:
    found = [each for each in records.outcomes if each.side == side.name]
    found.sort(key=lambda each: (ORDER.index(each.row) if each.row in ORDER else len(ORDER), each.date))
    return f"## {side.title}\n\n{table(HEADS, [_cells(each) for each in found])}" if found else ""


def _cells(outcome: Outcome) -> list[object]:
    counts = outcome.counts
    return [
        outcome.row,
        outcome.title,
        outcome.blows,
        counts.attempted,
        counts.acknowledged,
        counts.executed,
        counts.lost,
        counts.duplicated,
        counts.unexpected,
        counts.stuck,
        seconds(counts.recovered_p95),
        seconds(counts.recovered_max),
        outcome.beside or "–",
        outcome.seed,
        outcome.run + 1,
    ]


def _left_out(records: Records) -> str:
    titles = {side.name: side.title for side in SIDES}
    lines = [f"- {titles.get(name, name)}: {why}\n" for name, why in records.left_out.items()]
    return "## Left out\n\n" + "".join(lines) if lines else ""


def _where(records: Records) -> str:
    """Each machine once, with its runs: most runs of a page are of the same one."""
    machines: dict[str, list[tuple[object, ...]]] = {}
    for number, run in _used(records).items():
        machine = run.machine
        row = (number + 1, machine.date, run.size, _load(machine.load_before), _load(machine.load_after))
        machines.setdefault(_machine(machine), []).append(row)
    parts = [f"{machine}\n\n{table(WHEN, rows)}" for machine, rows in machines.items()]
    return "## Where and when\n\n" + "\n".join(parts)


def _used(records: Records) -> dict[int, Run]:
    """The runs of which something is shown, by their places."""
    used = {each.run for each in records.outcomes}
    return {number: run for number, run in enumerate(records.runs) if number in used}


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    servers = ", ".join(f"{name}: {said}" for name, said in machine.servers.items())
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB, {machine.system}, "
        f"Python {machine.python}. {versions}. {servers}."
    )


def _load(averages: list[float]) -> str:
    return " ".join(f"{each:.1f}" for each in averages)
