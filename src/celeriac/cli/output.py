"""The only place that prints: lines and tables for people, tabs in a pipe, JSON for machines."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from django.utils import timezone

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "grey": 90, "bold": 1}
_BAR = 30


def line(text: str = "", *, to: TextIO | None = None) -> None:
    """Print a line, at once: a supervisor reads it while the worker runs."""
    stream = to or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        known = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
        print(known, file=stream, flush=True)
    except BrokenPipeError as error:
        raise NobodyReads from error


@contextmanager
def sent_to(out: TextIO | None, err: TextIO | None) -> Iterator[None]:
    """What is printed meanwhile goes there; None: where it goes anyhow."""
    with redirect_stdout(out or sys.stdout), redirect_stderr(err or sys.stderr):
        yield


@contextmanager
def kept_clean() -> Iterator[None]:
    """What somebody else prints meanwhile goes where errors go."""
    with redirect_stdout(sys.stderr):
        yield


class NobodyReads(BrokenPipeError):
    """Whoever read what is printed has had enough, as `head` has."""


def let_go() -> None:
    """What is still to be flushed goes nowhere, as nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def foreign(text: str, *, is_error: bool = False) -> None:
    """Print a line that somebody else wrote: a traceback, a result."""
    (error if is_error else line)(in_one_line(text))


def is_for_people() -> bool:
    """Whether somebody reads it at a terminal; in a pipe ids are whole and numbers plain."""
    return sys.stdout.isatty()


def error(text: str) -> None:
    """Print a line for people where errors go."""
    line(text, to=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Print rows in columns on a terminal, with tabs in a pipe; a cell is one line, whatever is in it."""
    stream = to or sys.stdout
    rows = [[in_one_line(cell) for cell in row] for row in rows]
    if not stream.isatty():
        for row in rows:
            line("\t".join(row), to=stream)
        return
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [[name.upper() for name in header], *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        line("  ".join(cells).rstrip(), to=stream)


def in_one_line(cell: str) -> str:
    """The text so that nothing in it moves a terminal's cursor or makes another column."""
    if cell.isprintable():
        return cell
    return "".join(
        each if each.isprintable() else " " if each.isspace() else f"\\x{ord(each):02x}" for each in cell
    )


def clear() -> None:
    """Begin at the top of an empty screen; nothing in a pipe."""
    if is_for_people():
        print("\x1b[2J\x1b[H", end="", flush=True)


def document(value: Any) -> None:
    """Print a value as JSON; times are in UTC, as ISO 8601 has them."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_as_json)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, default=_as_json)
    line(text)


def as_json(value: Any) -> Any:
    """The value if it can be told as JSON, else its repr: of what a task returned, which may be anything."""
    try:
        json.dumps(value, default=_as_json, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        aware = timezone.make_aware(value) if timezone.is_naive(value) else value
        return aware.astimezone(UTC).isoformat()
    return str(value)


def coloured(text: str, colour: str, *, on: TextIO | None = None) -> str:
    """The text in a colour of _COLOURS where people read it; NO_COLOR and FORCE_COLOR are heeded."""
    stream = on or sys.stdout
    is_wanted = bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and not os.environ.get("NO_COLOR"))
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if is_wanted else text


def is_terminal() -> bool:
    """Whether somebody sits there, who reads what is printed and has the keys."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def is_confirmed(question: str, *, is_given: bool) -> bool:
    """Whether it may be done: `--yes` says so, or somebody at a terminal. In a pipe nobody can."""
    if is_given:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        error(f"{question} Nothing is done without --yes.")
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except KeyboardInterrupt:
        line(to=sys.stderr)
        return False


class Bar(Protocol):
    """Says how much is done by now."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def progress(what: str, total: int) -> Iterator[Bar]:
    """A bar on a terminal's error stream while it lasts; nothing elsewhere."""
    is_shown = sys.stderr.isatty() and total > 0

    def show(done: int) -> None:
        if is_shown:
            filled = round(_BAR * min(done, total) / total)
            bar = "█" * filled + "░" * (_BAR - filled)
            print(f"\r{what} {bar} {done:,} of {total:,}", end="", file=sys.stderr, flush=True)

    show(0)
    try:
        yield show
    finally:
        if is_shown:
            line(to=sys.stderr)
