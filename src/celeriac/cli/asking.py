"""Options by which several commands find tasks: a query, and what stands for its commonest words."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from celeriac.selectors import query
from celeriac.selectors.query import Query, Term

_SHORT = {
    "state": ("STATE", "in this state: failed, running, waiting, … or several with commas"),
    "type": ("NAME", "of this task; mail.* is every one that begins so"),
    "queue": ("QUEUE", "of this queue"),
    "since": ("WHEN", "published then or later: 2h ago, or 2026-11-26T12:00"),
}


def add_query(parser: ArgumentParser, what: str) -> None:
    parser.add_argument("--query", metavar="QUERY", help=f"{what} that a query finds: docs/query.md")


def add_short(parser: ArgumentParser) -> None:
    for name, (metavar, text) in _SHORT.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=text)


def add_limit(parser: ArgumentParser, most: int) -> None:
    parser.add_argument(
        "--limit", type=_limit, default=most, metavar="N", help=f"so many at the most ({most})"
    )


def query_of(options: Namespace, *words: str) -> Query:
    """The query that these options are together. Raises QueryError."""
    asked = " ".join([*words, getattr(options, "query", None) or ""])
    return query.parse(asked).and_also(*_short(options))


def _short(options: Namespace) -> list[Term]:
    given: dict[str, Any] = {name: getattr(options, name, None) for name in _SHORT}
    return [query.term(name, value) for name, value in given.items() if value is not None]


def _limit(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1_000_000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 999,999")
    return int(text)
