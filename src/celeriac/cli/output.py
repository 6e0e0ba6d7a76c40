"""The only place that prints: lines and tables for people, tab-separated values in a pipe."""

import sys
from collections.abc import Sequence
from typing import TextIO


def line(text: str = "", *, to: TextIO | None = None) -> None:
    """Print a line, at once: a supervisor reads it while the worker runs."""
    print(text, file=to or sys.stdout, flush=True)


def error(text: str) -> None:
    """Print a line for people where errors go."""
    line(text, to=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Print rows in columns on a terminal, with tabs in a pipe."""
    stream = to or sys.stdout
    if not stream.isatty():
        for row in rows:
            line("\t".join(row), to=stream)
        return
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [[name.upper() for name in header], *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line("  ".join(cells).rstrip(), to=stream)
