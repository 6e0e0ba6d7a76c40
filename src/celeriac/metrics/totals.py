"""Counts the tasks that have ended, each once: who asks for the totals counts on from where the last one was.

The alternatives cost more: a scan of the results at each question; or a counter beside each result, for which
every task would pay, asked for or not. Results are found by the index of their end, and read once.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.db import Error, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.metrics.durations import Durations
from celeriac.models import TaskTotal, TotalsCursor

#: Results are stored a moment after the end that they tell, by the clock of their worker. What comes later
#: than this, as after an outage of the database, is not counted.
LAG = timedelta(seconds=10)
#: Results that are read in one step, which is a transaction, and steps of one question: 30 ms each.
STEP, _MOST_STEPS = 2_000, 10

_Key = tuple[str, str]


@dataclass(slots=True)
class Total:
    """The tasks of a type that ended in a state."""

    count: int = 0
    durations: Durations = field(default_factory=Durations)


@dataclass(frozen=True, slots=True)
class Totals:
    """All of them, by task type and state."""

    by_task_and_state: dict[_Key, Total]
    #: None: nobody has asked before.
    counted_until: datetime | None


def totals(alias: str, *, now: datetime | None = None) -> Totals:
    """The totals until a few seconds ago. After a long pause one question counts a part, and the next go on.

    A database that cannot be written to, or another who counts right now, leaves them as they are. Raises the
    database's errors when they cannot be read either.
    """
    until, is_all = (now or timezone.now()) - LAG, False
    try:
        for _ in range(_MOST_STEPS):
            if not _count_on(alias, until):
                is_all = True
                break
    except Error:
        pass  # Locked, or read-only.
    cursor = TotalsCursor.objects.using(alias).filter(pk=1).first()
    return Totals(
        {(row.task_name, row.state): _total(row) for row in TaskTotal.objects.using(alias)},
        None if cursor is None else max(cursor.counted_until, until if is_all else cursor.counted_until),
    )


def _count_on(alias: str, until: datetime) -> bool:
    """Count a step; whether there is more to be counted. Raises the database's errors."""
    with transaction.atomic(using=alias):
        cursors = TotalsCursor.objects.using(alias)
        cursor = cursors.select_for_update().filter(pk=1).first()
        if cursor is None:
            _begin(alias, until)
            return False
        found, end, has_more = _ended(alias, cursor.counted_until, until)
        if found:
            _store(alias, _counted(found))
            cursors.filter(pk=1).update(counted_until=end)
    return has_more


def _begin(alias: str, until: datetime) -> None:
    """From now on. What has ended before is history, and perhaps a long one."""
    try:
        with transaction.atomic(using=alias):
            TotalsCursor.objects.using(alias).create(pk=1, counted_until=until)
    except IntegrityError:
        pass  # Another one has.


def _ended(alias: str, after: datetime, until: datetime) -> tuple[list[Any], datetime, bool]:
    """The next results, until which moment these are all, and whether there are more.

    Index: that of date_done, in which tasks that wait and run stand too: they are a few.
    """
    rows: QuerySet[Any] = TaskResult._default_manager.using(alias).order_by("date_done")
    rows = rows.filter(date_done__gt=after, date_done__lte=until)
    # Of several that ended in one moment none is left behind.
    moments = list(rows.values_list("date_done", flat=True)[STEP - 1 : STEP])
    end = moments[0] if moments else until
    columns = ("task_name", "status", "date_started", "date_done")
    return list(rows.filter(date_done__lte=end).values_list(*columns)), end, bool(moments)


def _counted(rows: Iterable[tuple[str | None, str, datetime | None, datetime]]) -> dict[_Key, Total]:
    found: dict[_Key, Total] = {}
    for name, state, started, done in rows:
        if state not in states.READY_STATES:
            continue
        total = found.setdefault((name or "", state), Total())
        total.count += 1
        if started is not None:
            total.durations.add(max(0.0, (done - started).total_seconds()))
    return found


def _store(alias: str, found: dict[_Key, Total]) -> None:
    """Whoever has locked the cursor is alone here, and so may read and write."""
    rows = TaskTotal.objects.using(alias)
    for (name, state), total in sorted(found.items()):
        row = rows.get_or_create(task_name=name, state=state)[0]
        whole = _total(row)
        whole.durations.merge(total.durations.count, total.durations.seconds, total.durations.within)
        rows.filter(pk=row.pk).update(
            count=whole.count + total.count,
            timed=whole.durations.count,
            seconds=whole.durations.seconds,
            within=json.dumps(whole.durations.within),
        )


def _total(row: TaskTotal) -> Total:
    durations = Durations()
    durations.merge(row.timed, row.seconds, json.loads(row.within))
    return Total(row.count, durations)
