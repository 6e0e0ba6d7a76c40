"""The query language of tasks: `state:failed type:mail.* NOT queue:slow since:2h`; text in, a small tree out.

A query is words that all must hold. A word is a key, a colon and a value; of several values with commas
between them one must hold; NOT before it, or a minus, turns it around. A value in quotes may have spaces,
commas and asterisks. See docs/query.md.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from celeriac.errors import QueryError
from celeriac.selectors import query_values
from celeriac.selectors.query_values import Kind, Value

#: Characters of a query, and words in it.
_LONGEST, _MOST_WORDS = 4000, 50

#: What can be asked for, and what the value of it is.
KEYS: dict[str, Kind] = {
    "id": Kind.TEXT,
    "state": Kind.STATE,
    "type": Kind.TEXT,
    "queue": Kind.TEXT,
    "worker": Kind.TEXT,
    "args": Kind.TEXT,
    "kwargs": Kind.TEXT,
    "exc": Kind.TEXT,
    "since": Kind.MOMENT,
    "until": Kind.MOMENT,
    "ran": Kind.SPAN,
    "waited": Kind.SPAN,
}
#: Words that people use for these.
_SYNONYMS = {
    "task": "type",
    "name": "type",
    "status": "state",
    "error": "exc",
    "exception": "exc",
    "node": "worker",
    "host": "worker",
    "before": "until",
    "after": "since",
    "runtime": "ran",
    "arg": "args",
    "kwarg": "kwargs",
}

_SPACE = re.compile(r"\s*")
_KEY = re.compile(r"(?P<minus>-?)(?P<key>[^\s:\",-][^\s:\",]*):")
_BARE = re.compile(r"[^\s,\"]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r"\S+")
_NOT = re.compile(r"NOT(?=\s)")


@dataclass(frozen=True, slots=True)
class Term:
    """A word: one of the values holds, or none of them if it is negated."""

    key: str
    values: tuple[Value, ...]
    is_negated: bool = False

    def __str__(self) -> str:
        values = ",".join(map(str, self.values))
        return f"{'NOT ' if self.is_negated else ''}{self.key}:{values}"


@dataclass(frozen=True, slots=True)
class Query:
    """All of its terms hold; without any it is everything."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """The query as text, which is read as the same query."""
        return " ".join(map(str, self.terms))

    def and_also(self, *terms: Term) -> "Query":
        return Query((*self.terms, *terms))


def parse(text: str) -> Query:
    """The query in a text. Raises QueryError with one line that says what to write instead."""
    if len(text) > _LONGEST:
        raise QueryError(f"The query has {len(text):,} characters, and {_LONGEST:,} are possible.")
    terms, at = [], _after_space(text, 0)
    while at < len(text):
        term, at = _term(text, at)
        terms.append(term)
        if len(terms) > _MOST_WORDS:
            raise QueryError(f"The query has more than {_MOST_WORDS} words.")
        at = _after_space(text, at)
    return Query(tuple(terms))


def term(key: str, text: str) -> Term:
    """A term whose values stand in an option of a command: `--state failed,revoked`. Raises QueryError."""
    values, at = _values(f"{text} ", 0, key)
    if text[at:].strip():
        raise QueryError(f"{key}: {text!r} has a space. Write it in quotes.")
    return _checked(Term(key, values))


def _term(text: str, at: int) -> tuple[Term, int]:
    is_negated = False
    while match := _NOT.match(text, at):
        is_negated, at = not is_negated, _after_space(text, match.end())
    match = _KEY.match(text, at)
    if match is None:
        raise QueryError(_no_key(text, at))
    key = _known(match["key"])
    values, end = _values(text, match.end(), key)
    return _checked(Term(key, values, is_negated != bool(match["minus"]))), end


def _values(text: str, at: int, key: str) -> tuple[tuple[Value, ...], int]:
    values = []
    while True:
        value, is_quoted, at = _value(text, at, key)
        values.append(query_values.read(KEYS[key], key, value, is_quoted=is_quoted))
        if at >= len(text) or text[at] != ",":
            break
        at += 1
    if at < len(text) and not text[at].isspace():
        raise QueryError(f'{key}: quotes stand around a whole value, as in {key}:"a b","c"')
    return tuple(values), at


def _value(text: str, at: int, key: str) -> tuple[str, bool, int]:
    if match := _QUOTED.match(text, at):
        return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), True, match.end()
    if text[at : at + 1] == '"':
        raise QueryError(f"{key}: the quote is not closed.")
    if match := _BARE.match(text, at):
        return match[0], False, match.end()
    raise QueryError(f"{key}: a value is missing. For example: {query_values.EXAMPLES[key]}")


def _checked(found: Term) -> Term:
    if len(found.values) > 1 and KEYS[found.key] is Kind.MOMENT:
        raise QueryError(f"{found.key}: takes one moment, not {len(found.values)}.")
    return found


def _known(key: str) -> str:
    name = key.lower()
    if name in KEYS:
        return name
    near = get_close_matches(name, KEYS, n=1)
    meant = _SYNONYMS.get(name) or (near[0] if near else None)
    advice = f"Did you mean {meant}:?" if meant else f"The keys are: {', '.join(KEYS)}."
    raise QueryError(f"The query has no key {query_values.shown(key)}. {advice}")


def _no_key(text: str, at: int) -> str:
    match = _WORD.match(text, at)
    word = match[0] if match else text[at:].strip()
    if word == "NOT":
        return "NOT stands before a word, as in: NOT state:failed"
    if word.upper() in {"AND", "OR"}:
        return "Words are joined by AND already; of several values one holds: state:failed,revoked"
    meant = f"type:{query_values.shown(word, is_bare=True)}"
    return f"{query_values.shown(word)} has no key. For example: {meant} or state:failed"


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
