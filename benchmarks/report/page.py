"""`docs/benchmark.md`: the tables, what was measured, and what the figures do not say."""

from collections.abc import Iterator

from benchmarks.contestants import ALL
from benchmarks.records import Records
from benchmarks.report import tables, words

SECTIONS = (
    ("What Celeriac has set itself", tables.goals, words.GOALS),
    ("Drain", tables.drain, words.DRAIN),
    ("Enqueue", tables.enqueue, words.ENQUEUE),
    ("Pick-up", tables.pickup, words.PICKUP),
    ("The worker", tables.worker, words.WORKER),
    ("Claim beside a backlog", tables.claim, words.CLAIM),
)
MOST_OF_A_FAILURE = 300


def text(records: Records) -> str:
    """The page."""
    return "\n\n".join(_paragraphs(records)) + "\n"


def _paragraphs(records: Records) -> Iterator[str]:
    yield "# How fast"
    yield f"By `make bench`: {records.rounds} rounds, contestants in turn, {records.minutes:.0f} minutes."
    yield _machine(records)
    for title, table, explanation in SECTIONS:
        if content := table(records):
            yield f"## {title}"
            yield words.joined(explanation).format(**records.sizes)
            yield content
    notes = dict.fromkeys(each.note for each in ALL if each.note)
    yield "## What these figures do not say"
    yield _list([*map(words.joined, words.CAVEATS.strip().split("\n\n")), *notes])
    if records.left_out:
        yield "## Left out"
        yield _list(records.left_out)
    if records.failures:
        yield "## Came to no figure"
        yield _list([" ".join(failure.split())[:MOST_OF_A_FAILURE] for failure in records.failures])


def _machine(records: Records) -> str:
    machine = records.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    before, after = (" ".join(map(str, each)) for each in (machine.load_before, machine.load_after))
    return _list(
        [
            f"{machine.date}; load average {before} before, {after} after",
            f"{machine.cores} cores, {machine.processor}, {machine.memory_gb} GB; {machine.system}",
            f"Python {machine.python}; {packages}",
            *(f"{name}: {said}" for name, said in machine.servers.items()),
        ]
    )


def _list(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
