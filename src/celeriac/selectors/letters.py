"""Dead letters by a query: messages that were refused or given up, with the reason and without their text."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from celery import Celery
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from celeriac.broker import clock
from celeriac.errors import QueryError
from celeriac.models import DeadLetter
from celeriac.selectors import conditions, places, spans
from celeriac.selectors.query import Query, Term

_EPOCH = datetime.fromtimestamp(0, UTC)
#: Not its text, in which everything stands.
_COLUMNS = ("id", "queue", "task_id", "task_name", "deliveries", "reason", "died_at")


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    #: By this number it is replayed and deleted.
    number: int
    task_id: str | None
    task_name: str | None
    queue: str
    #: How many times a worker had it.
    deliveries: int
    reason: str
    died_at: datetime


def find(app: Celery, query: Query, *, now: datetime | None = None) -> QuerySet[DeadLetter]:
    """The dead letters that a query finds, in no order. Raises QueryError."""
    moment = now or timezone.now()
    alias = places.of_letters(app)
    terms = [_of(term, alias, moment) for term in query.terms]
    return DeadLetter.objects.using(alias).filter(reduce(and_, terms, Q())).order_by()


def numbered(app: Celery, numbers: list[int]) -> QuerySet[DeadLetter]:
    """Those with these numbers, as far as they are there."""
    return DeadLetter.objects.using(places.of_letters(app)).filter(pk__in=numbers).order_by()


def listed(letters: QuerySet[DeadLetter], limit: int) -> list[Letter]:
    """The latest of these. Index: celeriac_deadletter_died."""
    rows = letters.order_by("-died_at", "-pk").values_list(*_COLUMNS)[:limit]
    return [
        Letter(number, task_id, name, queue, deliveries, reason, _moment(died_at))
        for number, queue, task_id, name, deliveries, reason, died_at in rows
    ]


def _moment(microseconds: int) -> datetime:
    """As the other tables have moments."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def _of(term: Term, alias: str, now: datetime) -> Q:
    if term.key not in _BY_KEY:
        raise QueryError(f"{term.key}: dead letters have none. Their keys are: {', '.join(_BY_KEY)}.")
    condition = reduce(or_, (_BY_KEY[term.key](value, alias, now) for value in term.values))
    return ~condition if term.is_negated else condition


def _died(lookup: str) -> Callable[[Any, str, datetime], Q]:
    def of_value(value: Any, _: str, now: datetime) -> Q:
        moment = spans.moment(value, now)
        aware = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
        return Q(**{f"died_at__{lookup}": clock.parse(aware)})

    return of_value


_BY_KEY: dict[str, Callable[[Any, str, datetime], Q]] = {
    "id": lambda value, alias, _: conditions.of_prefix(alias, value),
    "type": lambda value, alias, _: conditions.matched(alias, "task_name", value),
    "queue": lambda value, alias, _: conditions.matched(alias, "queue", value),
    "exc": lambda value, _, __: conditions.said("reason", value),
    "since": _died("gte"),
    "until": _died("lt"),
}
