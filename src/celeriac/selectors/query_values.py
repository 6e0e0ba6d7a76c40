"""The values of a query: texts with asterisks, states, moments and spans of time."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum

from celery import states
from django.utils.dateparse import parse_datetime

from celeriac.errors import QueryError
from celeriac.models import lengths


class Kind(Enum):
    """What a key takes."""

    TEXT = 1
    STATE = 2
    MOMENT = 3
    SPAN = 4


EXAMPLES = {
    "id": "id:8f3a",
    "state": "state:failed",
    "type": "type:mail.*",
    "queue": "queue:mails",
    "worker": "worker:web1",
    "args": "args:42",
    "kwargs": "kwargs:user_id=7",
    "exc": "exc:Timeout",
    "since": "since:2h",
    "until": "until:2026-11-26T12:00",
    "ran": "ran:>30s",
    "waited": "waited:>5s",
}
#: Words for states beside Celery's own names.
STATES = (
    "waiting",
    "scheduled",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "revoked",
    "lost",
    "none",
)
_OF_CELERY = tuple(sorted(states.ALL_STATES))
#: A state of a task's own.
_OWN_STATE = re.compile(r"[A-Z][A-Z0-9_-]{0,49}", re.ASCII)
#: In microseconds.
_UNITS = {
    "ms": 1000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_SPAN = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([a-z]+)", re.ASCII)
_LONGEST_MICROSECONDS = 36525 * _UNITS["d"]
#: Years that every database has, in every zone.
_YEARS = range(1971, 9999)
#: With each more a pattern may take a thousand times as long.
_MOST_ASTERISKS = 3
_COMPARED = re.compile(r"(>=|<=|>|<)(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Text:
    """A text; in one that is no literal an asterisk is any text."""

    text: str
    is_literal: bool = False

    def __str__(self) -> str:
        if not self.is_literal and re.fullmatch(r'[^\s,"]+', self.text):
            return self.text
        escaped = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class State:
    """A word of STATES, or a name of Celery's or of a task's own."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Ago:
    """A moment before now."""

    span: timedelta

    def __str__(self) -> str:
        return _as_text(self.span)


@dataclass(frozen=True, slots=True)
class At:
    """A moment; one without a zone is of the project's own."""

    moment: datetime

    def __str__(self) -> str:
        return f'"{self.moment.isoformat()}"'


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time that is compared."""

    operator: str
    span: timedelta

    def __str__(self) -> str:
        return f"{self.operator}{_as_text(self.span)}"


Value = Text | State | Ago | At | Span


def read(kind: Kind, key: str, text: str, *, is_quoted: bool) -> Value:
    """The value in a text. Raises QueryError."""
    if not text:
        raise QueryError(f"{key}: the value is empty. For example: {EXAMPLES[key]}")
    if fault := lengths.fault_of(text, 4000):
        raise QueryError(f"{key}: the value {fault}.")
    if kind is Kind.TEXT:
        if not is_quoted and text.count("*") > _MOST_ASTERISKS:
            raise QueryError(f"{key}: {shown(text)} has more than {_MOST_ASTERISKS} asterisks.")
        return Text(text, is_literal=is_quoted)
    return _state(text) if kind is Kind.STATE else _READERS[kind](key, text)


def shown(word: str, *, is_bare: bool = False) -> str:
    """A word of somebody's query in a message of one line."""
    short = word if len(word) <= 40 else f"{word[:40]}…"
    plain = "".join(each if each.isprintable() else "?" for each in short)
    return plain if is_bare else f"'{plain}'"


def span_of(text: str) -> timedelta | None:
    """`90s`, `2h`, `1.5d` as a length of time; None: it is none, or one of more than a hundred years."""
    match = _SPAN.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        return None
    microseconds = int(Decimal(match[1]) * _UNITS[match[2]])
    # Compared before it is made: a longer one is an OverflowError.
    return timedelta(microseconds=microseconds) if microseconds <= _LONGEST_MICROSECONDS else None


def _state(text: str) -> State:
    word = text.lower()
    if word in STATES:
        return State(word)
    if text.upper() in _OF_CELERY:
        return State(text.upper())
    if _OWN_STATE.fullmatch(text):
        return State(text)
    near = get_close_matches(word, [*STATES, *map(str.lower, _OF_CELERY)], n=1)
    advice = f"Did you mean {near[0]}?" if near else f"The states are: {', '.join(STATES)}."
    raise QueryError(f"There is no state {shown(text)}. {advice} A task's own is written in capitals.")


def _moment(key: str, text: str) -> Ago | At:
    if (span := span_of(text)) is not None:
        return Ago(span)
    moment = _date(text)
    if moment is None or moment.year not in _YEARS:
        raise QueryError(
            f"{key}: {shown(text)} is no moment. Write how long ago, as 30m, 2h or 7d, or 2026-11-26T12:00."
        )
    return At(moment)


def _date(text: str) -> datetime | None:
    try:
        # A day is its beginning.
        return parse_datetime(text)
    except ValueError:
        return None


def _compared(key: str, text: str) -> Span:
    match = _COMPARED.fullmatch(text)
    span = span_of(match[2]) if match else span_of(text)
    if span is None:
        raise QueryError(f"{key}: {shown(text)} is no length of time. For example: {EXAMPLES[key]}, or <2m.")
    if match is None:
        raise QueryError(f"{key}: longer or shorter? Write {key}:>{text} or {key}:<{text}.")
    return Span(match[1], span)


_READERS: dict[Kind, Callable[[str, str], Value]] = {Kind.MOMENT: _moment, Kind.SPAN: _compared}


def _as_text(span: timedelta) -> str:
    milliseconds, rest = divmod(span, timedelta(milliseconds=1))
    return f"{milliseconds}.{rest.microseconds:03d}ms" if rest else f"{milliseconds}ms"
