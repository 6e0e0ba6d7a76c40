"""Conditions of time: when a task was published, how long it waited and how long it ran."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual
from django.utils import timezone

from celeriac.selectors.query_values import Ago, At, Span

#: Longer is begun sooner.
_BEGUN = {">": LessThan, ">=": LessThanOrEqual, "<": GreaterThan, "<=": GreaterThanOrEqual}


def since(value: Ago | At, now: datetime) -> Q:
    """Published then or later. Index: celeriac_record_published."""
    return Q(published_at__gte=moment(value, now))


def until(value: Ago | At, now: datetime) -> Q:
    """Published before. Index: celeriac_record_published."""
    return Q(published_at__lt=moment(value, now))


def ran(value: Span, now: datetime) -> Q:
    """It has begun, and ran so long; one that runs has done so until now."""
    return Q(started_at__isnull=False) & _lasted(value, F("started_at"), "finished_at", now)


def waited(value: Span, now: datetime) -> Q:
    """From the moment when it could run until it began, or until now."""
    known = Q(published_at__isnull=False)
    return known & _lasted(value, Coalesce(F("eta"), F("published_at")), "started_at", now)


def _lasted(value: Span, begun: Any, end: str, now: datetime) -> Q:
    compared = _BEGUN[value.operator]
    goes_on = Q(**{f"{end}__isnull": True})
    until_now = goes_on & Q(compared(begun, now - value.span))
    return until_now | (~goes_on & Q(compared(begun, F(end) - value.span)))


def moment(value: Ago | At, now: datetime) -> datetime:
    """As the columns have it."""
    if isinstance(value, Ago):
        return now - value.span
    at = value.moment
    if settings.USE_TZ:
        return timezone.make_aware(at) if timezone.is_naive(at) else at
    return at if timezone.is_naive(at) else timezone.make_naive(at)
