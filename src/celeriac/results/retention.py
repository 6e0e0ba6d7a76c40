"""How results end: deleted when they are old enough, in steps that nobody waits for."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from celeriac.models import Chord, ChordPart, TaskRecord
from celeriac.results.retry import until_stored

#: What never ended is kept that many times longer: it may still wait in a queue.
UNFINISHED_FACTOR = 10


def expire(alias: str, older_than: timedelta, step: int = 1000) -> int:
    """Delete what ended longer ago than that, and what never ended much longer ago; return how many rows.

    Each step is a transaction of its own with at most `step` rows of a table.
    """
    return sum(_delete_in_steps(alias, rows, step) for rows in _expired(alias, timezone.now(), older_than))


def _expired(alias: str, now: datetime, older_than: timedelta) -> Iterator[QuerySet[Any]]:
    """Each table's expired rows, oldest first by an index."""
    ended, given_up = now - older_than, now - older_than * UNFINISHED_FACTOR
    delayed = Exists(TaskRecord.objects.using(alias).filter(task_id=OuterRef("task_id"), eta__gt=now))
    results = TaskResult._default_manager.using(alias).order_by("date_done")
    yield results.filter(date_done__lt=ended, status__in=states.READY_STATES)
    # What ended is gone by now.
    yield results.filter(~delayed, date_done__lt=given_up)
    records = TaskRecord.objects.using(alias).order_by("published_at")
    yield records.filter(published_at__lt=ended, finished_at__lt=ended)
    is_due = Q(eta__isnull=True) | Q(eta__lt=now)
    yield records.filter(is_due, published_at__lt=given_up, finished_at__isnull=True)
    yield GroupResult._default_manager.using(alias).filter(date_done__lt=ended).order_by("date_done")
    chords = Chord.objects.using(alias).order_by("created_at")
    yield chords.filter(created_at__lt=ended, is_sent=True)
    yield chords.filter(created_at__lt=given_up, is_sent=False)
    # Parts of a chord whose publisher never committed go when the results of their tasks have gone.
    chord = Exists(Chord.objects.using(alias).filter(group_id=OuterRef("group_id")))
    result = Exists(results.order_by().filter(task_id=OuterRef("task_id")))
    yield ChordPart.objects.using(alias).filter(~chord, ~result)


def _delete_in_steps(alias: str, rows: QuerySet[Any], step: int) -> int:
    total = 0
    # The keys are read before: MySQL cannot delete with a LIMIT in a subquery, and on SQLite
    # a transaction that begins with a read may be refused its first write.
    while keys := list(rows.values_list("pk", flat=True)[:step]):
        batch = rows.order_by().filter(pk__in=keys)
        if rows.model is Chord:
            groups = list(batch.values_list("group_id", flat=True))
            total += _delete_in_steps(alias, ChordPart.objects.using(alias).filter(group_id__in=groups), step)
        total += until_stored(alias, batch.delete)[0]
    return total
