"""How what is kept of tasks ends: deleted when it is old enough, in steps that nobody waits for."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from celeriac.models import Attempt, Chord, ChordPart, DeadLetter, Message, Outbox, Revocation, TaskRecord
from celeriac.results.retry import until_stored

#: What never ended is kept that many times longer: it may still wait in a queue.
UNFINISHED_FACTOR = 10


#: How long somebody has to find out why a message died, and to send it again: a month of holidays.
DEAD_LETTERS_KEPT = timedelta(days=30)

#: How long a revocation holds at the least that nobody has met: RabbitMQ and Redis do not tell what waits.
REVOCATIONS_KEPT = timedelta(days=30)

#: Each step is a transaction of its own with at most so many rows of a table.
STEP = 1000


def expire(alias: str, older_than: timedelta, step: int = STEP) -> int:
    """Delete what ended longer ago than that, and what never ended much longer ago; return how many rows."""
    tables = _expired(alias, timezone.now(), older_than)
    return sum(count for rows in tables for count in _delete_in_steps(alias, rows, step))


def expire_records(alias: str, older_than: timedelta, step: int = STEP) -> Iterator[int]:
    """Delete as `expire` does where another backend has the results; yield how many rows at each step."""
    for rows in _expired_records(alias, timezone.now(), older_than):
        yield from _delete_in_steps(alias, rows, step)


def expire_dead_letters(alias: str, step: int = STEP) -> Iterator[int]:
    """Delete the old dead letters of the broker on this database; yield how many at each step."""
    oldest = int((timezone.now() - DEAD_LETTERS_KEPT).timestamp() * 1_000_000)
    letters = DeadLetter.objects.using(alias).order_by("died_at")
    yield from _delete_in_steps(alias, letters.filter(died_at__lt=oldest), step)


def _expired(alias: str, now: datetime, older_than: timedelta) -> Iterator[QuerySet[Any]]:
    """Each table's expired rows, oldest first by an index."""
    ended, given_up = now - older_than, now - older_than * UNFINISHED_FACTOR
    delayed = Exists(TaskRecord.objects.using(alias).filter(task_id=OuterRef("task_id"), eta__gt=now))
    results = TaskResult._default_manager.using(alias).order_by("date_done")
    yield results.filter(date_done__lt=ended, status__in=states.READY_STATES)
    # What ended is gone by now.
    yield results.filter(~delayed, date_done__lt=given_up)
    yield from _expired_records(alias, now, older_than)
    yield GroupResult._default_manager.using(alias).filter(date_done__lt=ended).order_by("date_done")
    chords = Chord.objects.using(alias).order_by("created_at")
    yield chords.filter(created_at__lt=ended, is_sent=True)
    yield chords.filter(created_at__lt=given_up, is_sent=False)
    yield from _expired_revocations(alias, now, older_than)
    # Parts of a chord whose publisher never committed go when the results of their tasks have gone.
    chord = Exists(Chord.objects.using(alias).filter(group_id=OuterRef("group_id")))
    result = Exists(results.order_by().filter(task_id=OuterRef("task_id")))
    yield ChordPart.objects.using(alias).filter(~chord, ~result)


def _expired_records(alias: str, now: datetime, older_than: timedelta) -> Iterator[QuerySet[Any]]:
    ended, given_up = now - older_than, now - older_than * UNFINISHED_FACTOR
    records = TaskRecord.objects.using(alias).order_by("published_at")
    yield records.filter(~_goes_on(alias, "task_id"), published_at__lt=ended, finished_at__lt=ended)
    is_due = Q(eta__isnull=True) | Q(eta__lt=now)
    has_not_ended = Q(finished_at__isnull=True) | Q(finished_at__lt=given_up)
    yield records.filter(is_due, has_not_ended, published_at__lt=given_up)
    # An attempt is kept as long as anything of its task, of which there are few.
    record = Exists(records.order_by().filter(task_id=OuterRef("task_id")))
    result = Exists(TaskResult._default_manager.using(alias).filter(task_id=OuterRef("task_id")))
    attempts = Attempt.objects.using(alias).order_by("ended_at")
    yield attempts.filter(~record, ~result, ended_at__lt=ended)


def _goes_on(alias: str, column: str) -> Exists:
    """Whether the last run of a task has ended, and no state says so: what replaced it may wait for long."""
    results = TaskResult._default_manager.using(alias).order_by().filter(task_id=OuterRef(column))
    return Exists(results.exclude(status__in=states.READY_STATES))


def expire_revocations(alias: str, older_than: timedelta, step: int = STEP) -> Iterator[int]:
    """Delete the revocations of tasks that ended so long ago, or of which nothing is left; yield how many."""
    for rows in _expired_revocations(alias, timezone.now(), older_than):
        yield from _delete_in_steps(alias, rows, step)


def _expired_revocations(alias: str, now: datetime, older_than: timedelta) -> Iterator[QuerySet[Any]]:
    ended = now - older_than
    given_up = now - max(older_than * UNFINISHED_FACTOR, REVOCATIONS_KEPT)
    revocations = Revocation.objects.using(alias).order_by("revoked_at")
    records = TaskRecord.objects.using(alias).filter(task_id=OuterRef("value"))
    has_ended = Exists(records.filter(finished_at__isnull=False))
    yield revocations.filter(has_ended, ~_goes_on(alias, "value"), header="", revoked_at__lt=ended)
    # Its task may be due later than that, or still wait for a worker, or for the broker to come back.
    is_due = ~Exists(records.filter(eta__gt=now))
    is_gone = ~Exists(Message.objects.using(alias).filter(task_id=OuterRef("value")))
    is_sent = ~Exists(Outbox.objects.using(alias).filter(task_id=OuterRef("value")))
    yield revocations.filter(is_due, is_gone, is_sent, revoked_at__lt=given_up)


def _delete_in_steps(alias: str, rows: QuerySet[Any], step: int) -> Iterator[int]:
    # The keys are read before: MySQL cannot delete with a LIMIT in a subquery, and on SQLite
    # a transaction that begins with a read may be refused its first write.
    while keys := list(rows.values_list("pk", flat=True)[:step]):
        batch = rows.order_by().filter(pk__in=keys)
        if rows.model is Chord:
            groups = list(batch.values_list("group_id", flat=True))
            parts = ChordPart.objects.using(alias).filter(group_id__in=groups)
            yield from _delete_in_steps(alias, parts, step)
        yield until_stored(alias, batch.delete)[0]
