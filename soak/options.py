"""The command line of the soak."""

import argparse
import secrets
from dataclasses import dataclass
from pathlib import Path

from soak.faults import ALL as FAULTS
from soak.faults import Fault
from soak.sides import ALL as SIDES
from soak.sides import Side
from soak.sizes import SIZES, Sizes

DOCS = Path(__file__).parent.parent / "docs"
#: Of the values of a report, in its directory.
NAME = "reliability.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    sides: list[Side]
    faults: list[Fault]
    size: str
    seeds: list[int]
    #: Where the report goes; None: it is only printed.
    write: Path | None
    #: Where reports are of which is kept what is not run anew.
    add: list[Path]
    #: Whether anything is dealt at all.
    is_run: bool

    @property
    def sizes(self) -> Sizes:
        return SIZES[self.size]


def parse(words: list[str]) -> Options:
    """Raises SystemExit with an explanation."""
    given = _parser().parse_args(words)
    sides = [side for side in SIDES if not given.only or side.name.startswith(tuple(given.only))]
    faults = [fault() for fault in FAULTS if not given.row or fault.row in given.row]
    if not sides:
        raise SystemExit(f"No system is called that. There are: {', '.join(side.name for side in SIDES)}")
    if not faults:
        raise SystemExit(f"No row is called that. There are: {', '.join(fault.row for fault in FAULTS)}")
    seeds = given.seed or [1 + secrets.randbits(31) for _ in range(given.seeds)]
    size = "quick" if given.quick else given.size
    is_whole = size == "long" and not given.only and not given.row
    for directory in given.add:
        if not (directory / NAME).is_file():
            raise SystemExit(f"There is no {NAME} in {directory}.")
    write = given.write or (DOCS if is_whole and not given.no_run else None)
    return Options(sides, faults, size, seeds, write, given.add, not given.no_run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description="Deals every fault of the matrix to Celeriac on each database and broker, and some to its"
        " peers, and counts what is lost. A whole run takes hours and writes docs/reliability.md and .json;"
        " any other prints its table.",
        epilog=f"Systems: {', '.join(side.name for side in SIDES)}."
        f" Rows: {', '.join(fault.row for fault in FAULTS)}.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a tenth of the load: whether it works")
    add("--size", choices=SIZES, default="long", help=argparse.SUPPRESS)
    add("--only", metavar="NAME", action="append", help="only systems whose names begin so; may be repeated")
    add("--row", metavar="ROW", action="append", help="only this row; may be repeated")
    add("--seed", metavar="N", type=int, action="append", help="these chances; may be repeated")
    add("--seeds", metavar="N", type=int, default=1, help="so many seeds, new ones (default: 1)")
    add(
        "--add",
        type=Path,
        metavar="DIRECTORY",
        action="append",
        default=[],
        help="keep of the report there what is not run anew; may be repeated: what the first has, counts",
    )
    add("--no-run", action="store_true", help="deal nothing: put together the reports of --add")
    add("--write", type=Path, metavar="DIRECTORY", help="write the report there, whatever was run")
    return parser
