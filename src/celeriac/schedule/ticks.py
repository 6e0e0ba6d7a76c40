"""Firing: what is due becomes a tick and a task in one transaction, once for all schedulers.

Who comes first has the state's row until its commit; the tick's row, unique by name and due time, is what no
other way gets past, as of workers with two versions of an entry in a deployment.
"""

import logging
from collections.abc import Sequence, Set
from typing import Any

from celery import Celery
from celery.beat import BeatLazyFunc
from celery.exceptions import OperationalError
from celery.utils import uuid
from django.db import DataError, Error, ProgrammingError, connections, transaction
from django.db.models import F

from celeriac.database import failures
from celeriac.errors import TablesMissing
from celeriac.models import ScheduleOrder, ScheduleState, Tick
from celeriac.publisher import outbox
from celeriac.schedule import beats, states
from celeriac.schedule.due import Verdict, judge
from celeriac.schedule.entries import Entry

logger = logging.getLogger(__name__)

#: The database or the broker is away, or has no tables: nothing has happened, and it is tried again.
TRIED_AGAIN = (Error, OperationalError, TablesMissing)


def fire(
    app: Celery,
    alias: str,
    entry: Entry,
    state: ScheduleState,
    now: int,
    *,
    silent_beats: Set[int] = frozenset(),
) -> int:
    """Deal with what is due of the entry; how many tasks were published.

    0 also where another scheduler has it, or a beat but for the silent ones. Raises what the database raises:
    then nothing of it has happened.
    What cannot be published, as arguments that no message can hold, is an error in the tick and in the log.
    """
    assert state.next_due is not None
    verdict = judge(entry, state.next_due, now, state.anchor)
    if verdict.has_missed:
        logger.warning(
            "Schedule %s: due times were missed; by its policy (%s) %s.",
            entry.name,
            entry.catch_up,
            f"{len(verdict.published)} of them fire now" if verdict.published else "they are left out",
        )
    try:
        return _dealt_with(app, alias, entry, state, verdict, now, silent_beats=silent_beats)
    except TRIED_AGAIN as error:
        if not _is_of_the_task(error):
            raise
        fault = repr(error)
    except Exception as error:  # noqa: BLE001 - a task that cannot be published is no reason to stop the others
        fault = repr(error)
    logger.error("Schedule %s: %s could not be published: %s", entry.name, entry.task, fault)
    return _dealt_with(app, alias, entry, state, verdict, now, silent_beats=silent_beats, fault=fault)


def publish(app: Celery, entry: Entry, task_id: str) -> Any:
    """Publish the entry's task as beat does, now."""
    options = dict(entry.options)
    headers = {**(options.pop("headers", None) or {}), "celery_beat_task": True}
    headers["periodic_task_name"] = entry.name
    options.update(headers=headers, task_id=task_id)
    args = [_evaluated(each) for each in entry.args]
    kwargs = {name: _evaluated(each) for name, each in entry.kwargs.items()}
    task = app.tasks.get(entry.task)
    if task is not None:
        return task.apply_async(args, kwargs, **options)
    return app.send_task(entry.task, args, kwargs, **options)


def _dealt_with(
    app: Celery,
    alias: str,
    entry: Entry,
    state: ScheduleState,
    verdict: Verdict,
    now: int,
    *,
    silent_beats: Set[int],
    fault: str = "",
) -> int:
    with transaction.atomic(using=alias):
        if not _is_ours(alias, state, verdict.next_due):
            return 0
        # Behind the row's lock: a beat that begins says so first, and then waits for whoever has the row.
        if not entry.is_from_table and beats.is_there(alias, silent_beats):
            transaction.set_rollback(True, using=alias)
            return 0
        wanted = _not_ordered_otherwise(alias, entry.name, verdict.published, now)
        ids = [None if fault else uuid() for _ in wanted]
        ticks = [
            Tick(name=entry.name, due=due, fired_at=now, task_id=task_id, fault=fault)
            for due, task_id in zip(wanted, ids, strict=True)
        ]
        if not ticks:
            return 0
        # An error by its uniqueness takes all of this back; the next look sees what was there.
        Tick.objects.using(alias).bulk_create(ticks)
        last = ticks[-1]
        states.rows(alias).filter(pk=state.pk).update(
            last_due=last.due, last_fired_at=now, last_task_id=last.task_id
        )
        # With RabbitMQ and Redis too the task is to exist with the tick, and with it alone.
        with outbox.always():
            published = [publish(app, entry, task_id) for task_id in ids if task_id is not None]
    return len(published)


def _is_ours(alias: str, state: ScheduleState, next_due: int | None) -> bool:
    """Move the state on; False: another scheduler has done so, or is at it."""
    rows = states.rows(alias).filter(pk=state.pk, next_due=state.next_due)
    # Who stands still in its transaction holds up this entry, and not this scheduler.
    may_skip = connections[alias].features.has_select_for_update_skip_locked
    if may_skip and rows.select_for_update(skip_locked=True).first() is None:
        return False
    return bool(rows.update(next_due=next_due))


def _not_ordered_otherwise(alias: str, name: str, due: Sequence[int], now: int) -> list[int]:
    """Without those that are paused, to be skipped, or fired already under another version of the entry."""
    fired = set(Tick.objects.using(alias).filter(name=name, due__in=due).values_list("due", flat=True))
    wanted = [each for each in due if each not in fired]
    order = ScheduleOrder.objects.using(alias).filter(name=name).first()
    if order is None:
        return wanted
    if order.is_paused:
        return []
    if order.skips > 0 and wanted:
        left_out = wanted[: order.skips]
        Tick.objects.using(alias).bulk_create(
            [Tick(name=name, due=each, fired_at=now, fault="skipped") for each in left_out]
        )
        ScheduleOrder.objects.using(alias).filter(pk=order.pk).update(skips=F("skips") - len(left_out))
        return wanted[len(left_out) :]
    return wanted


def _is_of_the_task(error: BaseException) -> bool:
    """Whether it would be refused each time, such as a text that a column cannot hold."""
    return isinstance(error, DataError | ProgrammingError) and not failures.is_missing_table(error)


def _evaluated(value: Any) -> Any:
    return value() if isinstance(value, BeatLazyFunc) else value
