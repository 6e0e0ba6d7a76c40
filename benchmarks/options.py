"""The command line of the benchmark."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import ALL, Contestant
from benchmarks.measures import MEASURES
from benchmarks.run import Plan
from benchmarks.sizes import QUICK, STANDARD, TINY, Sizes

DOCS = Path(__file__).parent.parent / "docs"
SIZES: dict[str, Sizes] = {"standard": STANDARD, "quick": QUICK, "tiny": TINY}
MINUTES = 25.0


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    plan: Plan
    #: Where the report goes; None: it is only printed.
    write: Path | None
    json: Path | None
    #: An earlier run's file, reported again.
    read: Path | None


def parse(words: list[str]) -> Options:
    """Raises SystemExit with an explanation."""
    given = _parser().parse_args(words)
    size = "quick" if given.quick else given.size
    rounds = given.rounds or SIZES[size].rounds
    plan = Plan(
        contestants=[each for each in ALL if _is_wanted(each, given.only)],
        measures=[name for name in MEASURES if name in (given.measure or MEASURES)],
        sizes=SIZES[size],
        rounds=rounds,
        minutes=given.minutes,
    )
    if not plan.contestants:
        raise SystemExit(f"No contestant is called that. There are: {', '.join(each.name for each in ALL)}")
    is_whole = size == "standard" and rounds >= STANDARD.rounds and not given.only and not given.measure
    write = given.write or (DOCS if is_whole or given.read else None)
    return Options(plan, write, given.json, given.read)


def _is_wanted(contestant: Contestant, only: list[str] | None) -> bool:
    """Named, or one of those whose names begin so."""
    return not only or any(contestant.name.startswith(name) for name in only)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measures Celeriac beside its peers on this machine. A whole run, without options, writes"
        " docs/benchmark.md, .svg and .json; any other prints its tables.",
        epilog=f"Contestants: {', '.join(each.name for each in ALL)}",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="few tasks, one round: whether it works, and roughly how fast")
    add("--size", choices=SIZES, default="standard", help=argparse.SUPPRESS)
    add(
        "--only",
        metavar="NAME",
        action="append",
        help="only contestants whose names begin so; may be repeated",
    )
    add("--measure", choices=MEASURES, action="append", help="only this; may be repeated")
    add("--rounds", type=int, metavar="N", help=f"how many rounds (default: {STANDARD.rounds})")
    add("--minutes", type=float, default=MINUTES, metavar="M", help="begin no round after this (default: 25)")
    add("--json", type=Path, metavar="FILE", help="write every value that was measured to this file too")
    add("--write", type=Path, metavar="DIRECTORY", help="write the report there, whatever was measured")
    add("--read", type=Path, metavar="FILE", help="measure nothing: report again what this JSON file holds")
    return parser
