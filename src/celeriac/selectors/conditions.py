"""A term of a query as a filter of TaskRecord: which column it is about, and by which index it is found."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from operator import or_
from typing import Any

from celery import Celery, states
from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import Exact
from django_celery_results.models import TaskResult

from celeriac.errors import QueryError
from celeriac.models import Attempt, Outcome
from celeriac.results.backend import DatabaseBackend
from celeriac.selectors import arguments, spans
from celeriac.selectors.query import Term
from celeriac.selectors.query_values import State, Text

_WAITING = (states.PENDING, states.RECEIVED)
_NOT_RUNNING = (*_WAITING, states.RETRY, *sorted(states.READY_STATES))
#: Of the states of one project's tasks.
_MOST_STATES = 100
_NAMES = {
    "succeeded": states.SUCCESS,
    "failed": states.FAILURE,
    "revoked": states.REVOKED,
    "retrying": states.RETRY,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a condition needs to know beside its term."""

    app: Celery
    #: The database of the records and results.
    alias: str
    now: datetime

    @property
    def results(self) -> QuerySet[Any]:
        return TaskResult._default_manager.using(self.alias).order_by()

    @property
    def attempts(self) -> QuerySet[Any]:
        return Attempt.objects.using(self.alias).filter(task_id=OuterRef("task_id")).order_by()

    def need_results(self, key: str) -> None:
        """Raise QueryError where the database has no states."""
        if not isinstance(self.app.backend, DatabaseBackend):
            raise QueryError(f"{key}: cannot be asked for: another backend than django-db has the results.")


def of(term: Term, place: Place) -> Q:
    """The condition of a term. Raises QueryError."""
    condition = _BY_KEY[term.key](term, place)
    return ~condition if term.is_negated else condition


def _any(term: Term, of_value: Callable[[Any], Q]) -> Q:
    return reduce(or_, map(of_value, term.values))


def _id(term: Term, place: Place) -> Q:
    return _any(term, partial(of_prefix, place.alias))


def of_prefix(alias: str, value: Text) -> Q:
    """Ids that begin so. Index: the unique one of task_id."""
    return _begins(alias, "task_id", value.text if value.is_literal else value.text.rstrip("*"))


def matched(alias: str, column: str, value: Text) -> Q:
    """The whole of a text column as it is written, asterisks being any text."""
    if value.is_literal or "*" not in value.text:
        return _equals(alias, column, value.text)
    head, _, tail = value.text.partition("*")
    return _begins(alias, column, head) if not tail else _is_like(column, value.text.split("*"))


def _begins(alias: str, column: str, text: str) -> Q:
    prefix = Q(**{f"{column}__startswith": text})
    if connections[alias].vendor != "sqlite" or not text:
        return prefix
    # SQLite's LIKE heeds no case, and so goes by no index.
    following = text[:-1] + chr(min(ord(text[-1]) + 1, 0x10FFFF))
    return prefix & Q(**{f"{column}__gte": text, f"{column}__lt": following})


def _equals(alias: str, column: str, text: str) -> Q:
    same = Q(**{column: text})
    # The usual collations of MariaDB and MySQL heed neither case nor accents.
    return same & _is_like(column, [text]) if connections[alias].vendor == "mysql" else same


def _is_like(column: str, pieces: list[str]) -> Q:
    return Q(**{f"{column}__regex": f"^{'.*'.join(map(re.escape, pieces))}$"})


def _type(term: Term, place: Place) -> Q:
    return _any(term, partial(matched, place.alias, "task_name"))


def _queue(term: Term, place: Place) -> Q:
    return _any(term, partial(matched, place.alias, "queue"))


def _state(term: Term, place: Place) -> Q:
    place.need_results("state")
    return _any(term, lambda value: _in_state(value, place))


def _in_state(value: State, place: Place) -> Q:
    name = _NAMES.get(value.name, value.name)
    if name == "none":
        return ~Q(Exists(place.results.filter(task_id=OuterRef("task_id"))))
    if name == "lost":
        has_ended = place.results.filter(task_id=OuterRef("task_id"), status__in=states.READY_STATES)
        return Q(Exists(place.attempts.filter(outcome=Outcome.LOST))) & ~Q(Exists(has_ended))
    if name in {"waiting", "scheduled"}:
        waiting = Q(task_id__in=place.results.filter(status__in=_WAITING).values("task_id"))
        is_later = Q(eta__gt=place.now)
        return waiting & (is_later if name == "scheduled" else Q(eta__isnull=True) | ~is_later)
    if name == "running":
        return Q(task_id__in=place.results.filter(status__in=_running(place)).values("task_id"))
    if name == states.SUCCESS:
        # Nearly all: one after the other is asked about. By EXISTS MariaDB would read them all first.
        state = place.results.filter(task_id=OuterRef("task_id")).values("status")
        return Q(Exact(Subquery(state), name))
    # A few: they are the first to be found. Index: that of status.
    return Q(task_id__in=place.results.filter(status=name).values("task_id"))


def _running(place: Place) -> list[str]:
    """The states of tasks that run: STARTED and those of tasks' own, of which there are a few.

    Found one after the other by the index of status, where all but some states would be every row.
    """
    found, last = [states.STARTED], ""
    for _ in range(_MOST_STATES):
        following = place.results.filter(status__gt=last).order_by("status").values_list("status", flat=True)
        state = following.first()
        if state is None:
            break
        found, last = [*found, state], state
    return [state for state in found if state not in _NOT_RUNNING]


def _worker(term: Term, place: Place) -> Q:
    place.need_results("worker")

    def of_value(value: Text) -> Q:
        # Of `celery@web1` people say `web1`.
        full = Text(value.text if "@" in value.text else f"*@{value.text}", value.is_literal)
        return matched(place.alias, "worker", value) | matched(place.alias, "worker", Text(full.text))

    # A worker has taken very many: they are not found first.
    return Q(Exists(place.results.filter(_any(term, of_value), task_id=OuterRef("task_id"))))


def _args(term: Term, place: Place) -> Q:
    return _in_results(term, place, lambda value: Q(task_args__regex=arguments.within(value)))


def _kwargs(term: Term, place: Place) -> Q:
    return _in_results(term, place, lambda value: Q(task_kwargs__regex=arguments.keyword(value)))


def _in_results(term: Term, place: Place, of_value: Callable[[Text], Q]) -> Q:
    place.need_results(term.key)
    rows = place.results.filter(task_id=OuterRef("task_id"))
    return Q(Exists(rows.filter(_any(term, of_value))))


def _exc(term: Term, place: Place) -> Q:
    """A run of it failed so. Index: celeriac_attempt_task."""
    return Q(
        Exists(
            place.attempts.filter(_any(term, lambda each: said("exception", each) | said("message", each)))
        )
    )


def said(column: str, value: Text) -> Q:
    """The text is somewhere in a column, whatever the case and on however many lines."""
    pieces = [value.text] if value.is_literal else value.text.split("*")
    # Said in the pattern, which every database reads alike: SQLite's LIKE and LOWER() know ASCII alone,
    # MariaDB heeds the case in our columns, and of PostgreSQL's alone an asterisk goes over lines by itself.
    return Q(**{f"{column}__iregex": f"(?is){'.*'.join(map(re.escape, pieces))}"})


_BY_KEY: dict[str, Callable[[Term, Place], Q]] = {
    "id": _id,
    "state": _state,
    "type": _type,
    "queue": _queue,
    "worker": _worker,
    "args": _args,
    "kwargs": _kwargs,
    "exc": _exc,
    "since": lambda term, place: _any(term, partial(spans.since, now=place.now)),
    "until": lambda term, place: _any(term, partial(spans.until, now=place.now)),
    "ran": lambda term, place: _any(term, partial(spans.ran, now=place.now)),
    "waited": lambda term, place: _any(term, partial(spans.waited, now=place.now)),
}
