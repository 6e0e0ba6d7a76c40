"""The page: what was promised, what was counted, where and when."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from soak.performing import Outcome
from soak.run import Records
from soak.sides import ALL as SIDES
from soak.sides import SLOTS_OF_ALL
from soak.sizes import Sizes

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
    "seed",
)
TEXT = """\
# What is lost when things break

Written by `make soak`; the values are in [reliability.json](reliability.json). Two workers run {slots} tasks
at a time while faults are dealt to them. A ledger outside of the database says what the producer attempted,
what was acknowledged to it (behind an fsync), and when each run began and ended.

*lost*: acknowledged, and not run to its end by then. *duplicated*: runs beyond the first. *unexpected*: ran
and was never attempted. *stuck*: had not ended {settle:.0f} s after the load. *recovered*: seconds from a
blow to the next run of what it struck. An exactly-once side effect cannot be had: what ran at a kill runs
again.

{machine}
"""


def text(records: Records, sizes: Sizes) -> str:
    """The whole page."""
    parts = [TEXT.format(slots=SLOTS_OF_ALL, settle=sizes.settle_seconds, machine=_machine(records))]
    for side in SIDES:
        outcomes = [each for each in records.outcomes if each.side == side.name]
        if outcomes:
            parts.append(f"## {side.title}\n\n{_table(outcomes)}")
    broken = [
        f"- {each.side} {each.row}, seed {each.seed}: {'; '.join(each.complaints[:-1])}"
        for each in records.broken
    ]
    parts += ["## What did not hold\n\n" + "\n".join(broken) + "\n"] if broken else []
    parts += (
        ["## Left out\n\n" + "".join(f"- {each}\n" for each in records.left_out)] if records.left_out else []
    )
    return "\n".join(parts)


def as_json(records: Records) -> dict[str, Any]:
    """Everything, for a file."""
    return asdict(records)


def _table(outcomes: Iterable[Outcome]) -> str:
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    lines += [f"| {' | '.join(map(str, _cells(each)))} |" for each in outcomes]
    return "\n".join(lines) + "\n"


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
        _seconds(counts.recovered_p95),
        _seconds(counts.recovered_max),
        outcome.seed,
    ]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _machine(records: Records) -> str:
    machine = records.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    servers = ", ".join(f"{name}: {said}" for name, said in machine.servers.items())
    return (
        f"{machine.date}, {records.size} run. {machine.processor}, {machine.cores} cores,"
        f" {machine.memory_gb} GB, {machine.system}, Python {machine.python}. {versions}. {servers}."
        f" Load before: {machine.load_before}, after: {machine.load_after}."
    )
