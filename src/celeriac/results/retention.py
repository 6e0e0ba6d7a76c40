"""How what is kept of tasks ends: deleted when it is old enough, in steps that nobody waits for."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery import Celery, states
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from celeriac.conf import options
from celeriac.errors import WrongSetting
from celeriac.models import (
    Attempt,
    Chord,
    ChordPart,
    DeadLetter,
    Message,
    Outbox,
    Revocation,
    TaskRecord,
    Tick,
)
from celeriac.results.retry import until_stored

#: What never ended is kept that many times longer: it may still wait in a queue.
UNFINISHED_FACTOR = 10
#: However short the time is, as when somebody cleans up by hand.
UNFINISHED_KEPT = timedelta(days=1)

#: How long a revocation holds at the least that nobody has met: RabbitMQ and Redis do not tell what waits.
REVOCATIONS_KEPT = timedelta(days=30)

#: How long the ticks of the schedule can be looked at; that none is dealt with twice is for the moment.
TICKS_KEPT = timedelta(days=2)

#: Each step is a transaction of its own with at most so many rows of a table.
STEP = 1000
#: A hundred years: no date is before the first one.
_FOR_EVER_DAYS = 36_500


def results_kept(app: Celery) -> timedelta | None:
    """How long, by the settings; None: for ever. Raises WrongSetting."""
    seconds = app.backend.expires
    if not seconds:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise WrongSetting(f"CELERY_RESULT_EXPIRES must be seconds or a timedelta, not {seconds!r}.")
    return timedelta(seconds=seconds)


def dead_letters_kept() -> timedelta:
    """How long, by the settings."""
    return timedelta(days=min(options().dead_letter_days, _FOR_EVER_DAYS))


def attempts_kept() -> timedelta:
    """How long at the least, by the settings."""
    return timedelta(days=min(options().attempt_days, _FOR_EVER_DAYS))


def expire(alias: str, older_than: timedelta, step: int = STEP) -> int:
    """Delete what ended longer ago than that, and what never ended much longer ago; return how many rows."""
    tables = _expired(alias, timezone.now(), older_than)
    return sum(count for rows in tables for count in delete_in_steps(alias, rows, step))


def expire_dead_letters(alias: str, step: int = STEP) -> Iterator[int]:
    """Delete the old dead letters of the broker on this database; yield how many at each step."""
    yield from delete_in_steps(alias, expired_letters(alias, dead_letters_kept()), step)


def expire_ticks(alias: str, step: int = STEP) -> Iterator[int]:
    """Delete the old ticks of the schedule; yield how many at each step."""
    oldest = int((timezone.now() - TICKS_KEPT).timestamp() * 1_000_000)
    ticks = Tick.objects.using(alias).order_by("fired_at")
    yield from delete_in_steps(alias, ticks.filter(fired_at__lt=oldest), step)


def expired_letters(alias: str, older_than: timedelta) -> QuerySet[DeadLetter]:
    """The dead letters that are older than that. Index: celeriac_deadletter_died."""
    oldest = int((timezone.now() - older_than).timestamp() * 1_000_000)
    return DeadLetter.objects.using(alias).filter(died_at__lt=oldest).order_by("died_at")


def expired(
    alias: str, older_than: timedelta, *, has_results: bool, attempts: timedelta | None = None
) -> Iterator[QuerySet[Any]]:
    """What `expire` deletes, table after table: some are found only when those before them are gone.

    Without `has_results` what is ours where another backend has the results. `attempts`: their least age, if
    it is not that of the settings.
    """
    now = timezone.now()
    if has_results:
        yield from _expired(alias, now, older_than, attempts)
        return
    yield from _expired_records(alias, now, older_than, attempts)
    yield from _expired_revocations(alias, now, older_than)


def _expired(
    alias: str, now: datetime, older_than: timedelta, attempts: timedelta | None = None
) -> Iterator[QuerySet[Any]]:
    """Each table's expired rows, oldest first by an index."""
    ended, given_up = now - older_than, now - _unfinished(older_than)
    delayed = Exists(TaskRecord.objects.using(alias).filter(task_id=OuterRef("task_id"), eta__gt=now))
    results = TaskResult._default_manager.using(alias).order_by("date_done")
    yield results.filter(date_done__lt=ended, status__in=states.READY_STATES)
    # What ended is gone by now.
    yield results.filter(~delayed, date_done__lt=given_up)
    yield from _expired_records(alias, now, older_than, attempts)
    yield GroupResult._default_manager.using(alias).filter(date_done__lt=ended).order_by("date_done")
    chords = Chord.objects.using(alias).order_by("created_at")
    yield chords.filter(created_at__lt=ended, is_sent=True)
    yield chords.filter(created_at__lt=given_up, is_sent=False)
    yield from _expired_revocations(alias, now, older_than)
    # Parts of a chord whose publisher never committed go when the results of their tasks have gone.
    chord = Exists(Chord.objects.using(alias).filter(group_id=OuterRef("group_id")))
    result = Exists(results.order_by().filter(task_id=OuterRef("task_id")))
    yield ChordPart.objects.using(alias).filter(~chord, ~result)


def _unfinished(older_than: timedelta) -> timedelta:
    return max(older_than * UNFINISHED_FACTOR, UNFINISHED_KEPT)


def _expired_records(
    alias: str, now: datetime, older_than: timedelta, attempts: timedelta | None = None
) -> Iterator[QuerySet[Any]]:
    ended, given_up = now - older_than, now - _unfinished(older_than)
    records = TaskRecord.objects.using(alias).order_by("published_at")
    yield records.filter(~_goes_on(alias, "task_id"), published_at__lt=ended, finished_at__lt=ended)
    is_due = Q(eta__isnull=True) | Q(eta__lt=now)
    has_not_ended = Q(finished_at__isnull=True) | Q(finished_at__lt=given_up)
    yield records.filter(is_due, has_not_ended, published_at__lt=given_up)
    # An attempt is kept as long as anything of its task, of which there are few; longer where that is wished.
    record = Exists(records.order_by().filter(task_id=OuterRef("task_id")))
    result = Exists(TaskResult._default_manager.using(alias).filter(task_id=OuterRef("task_id")))
    kept = attempts_kept() if attempts is None else attempts
    rows = Attempt.objects.using(alias).order_by("ended_at")
    yield rows.filter(~record, ~result, ended_at__lt=min(ended, now - kept))


def _goes_on(alias: str, column: str) -> Exists:
    """Whether the last run of a task has ended, and no state says so: what replaced it may wait for long."""
    results = TaskResult._default_manager.using(alias).order_by().filter(task_id=OuterRef(column))
    return Exists(results.exclude(status__in=states.READY_STATES))


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


def delete_in_steps(alias: str, rows: QuerySet[Any], step: int = STEP) -> Iterator[int]:
    """Delete these rows, in their order, each step a transaction of its own; yield how many at each step."""
    # The keys are read before: MySQL cannot delete with a LIMIT in a subquery, and on SQLite
    # a transaction that begins with a read may be refused its first write.
    while keys := list(rows.values_list("pk", flat=True)[:step]):
        batch = rows.order_by().filter(pk__in=keys)
        if rows.model is Chord:
            groups = list(batch.values_list("group_id", flat=True))
            parts = ChordPart.objects.using(alias).filter(group_id__in=groups)
            yield from delete_in_steps(alias, parts, step)
        yield until_stored(alias, batch.delete)[0]
