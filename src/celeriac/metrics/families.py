"""What is told of queues, workers and tasks, and by which names."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from celery import Celery, states
from django.db import Error
from django_celery_results.models import TaskResult

from celeriac import __version__
from celeriac.errors import CeleriacError
from celeriac.metrics.durations import LIMITS
from celeriac.metrics.exposition import Family, number
from celeriac.metrics.totals import Totals, totals
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias
from celeriac.selectors import places
from celeriac.selectors.queues import queues
from celeriac.selectors.schedules import outlook, worst_tick_seconds
from celeriac.selectors.workers import workers
from celeriac.worker import scheduling

logger = logging.getLogger(__name__)

Source = Callable[[Celery], Iterable[Family]]


def families(app: Celery) -> Iterator[Family]:
    """All families. A part that cannot be asked is left out, and `celeriac_up` of it is 0."""
    began = time.monotonic()
    up = Family("celeriac_up", "gauge", "Whether this part could be asked.")
    for part, source in SOURCES.items():
        try:
            yield from list(source(app))
        except (Error, CeleriacError) as error:
            logger.warning("Metrics of %s cannot be told: %s", part, error)
            up.add(0, part=part)
        else:
            up.add(1, part=part)
    yield up
    info = Family("celeriac_info", "gauge", "Always 1; the version is in the label.")
    info.add(1, version=__version__)
    yield info
    seconds = Family("celeriac_scrape_seconds", "gauge", "How long this answer took.")
    seconds.add(time.monotonic() - began)
    yield seconds


def _of_queues(app: Celery) -> list[Family]:
    messages = Family(
        "celeriac_queue_messages", "gauge", "Messages: waiting, scheduled for later, claimed by a worker."
    )
    oldest = Family("celeriac_queue_oldest_waiting_seconds", "gauge", "Since when the oldest one waits.")
    paused = Family("celeriac_queue_paused", "gauge", "1: no worker takes messages from it.")
    dead = Family("celeriac_queue_dead_letters", "gauge", "Messages that were refused or given up.")
    for queue in queues(app):
        for state in ("waiting", "scheduled", "claimed"):
            messages.add(getattr(queue, state), queue=queue.name, state=state)
        # Nothing waits: an alert on this wants 0, not a gap.
        age = queue.oldest_waiting_seconds
        oldest.add(0.0 if age is None and queue.waiting == 0 else age, queue=queue.name)
        paused.add(int(queue.is_paused), queue=queue.name)
        dead.add(queue.dead_letters, queue=queue.name)
    return [messages, oldest, paused, dead]


def _of_workers(app: Celery) -> list[Family]:
    if places.of_workers(app) is None:
        # Nobody knows, and 0 would be an alarm.
        return []
    up = Family("celeriac_workers", "gauge", "Workers that live, and rows of those that were lost today.")
    slots = Family("celeriac_worker_concurrency", "gauge", "How many tasks a worker runs at once.")
    beat = Family("celeriac_worker_heartbeat_age_seconds", "gauge", "Since its last sign of life.")
    found = [each for each in workers(app, with_tasks=False) if each.pool]
    living = [each for each in found if each.is_alive]
    up.add(len(living), state="up")
    up.add(len(found) - len(living), state="lost")
    # A name has one sample: that of its newest life.
    for worker in {each.node: each for each in living}.values():
        slots.add(worker.concurrency, worker=worker.node)
        beat.add(worker.heartbeat_age_seconds, worker=worker.node)
    return [up, slots, beat]


def _of_tasks(app: Celery) -> list[Family]:
    if not isinstance(app.backend, DatabaseBackend):
        return []
    alias = results_alias()
    running = Family("celeriac_tasks_running", "gauge", "Tasks that workers have begun and not ended.")
    # Index: that of status; a worker has only so many.
    started = TaskResult._default_manager.using(alias).order_by().filter(status=states.STARTED)
    running.add(started.count())
    found = totals(alias)
    return [running, *_of_ends(found), _of_durations(found)]


def _of_ends(found: Totals) -> list[Family]:
    ended = Family("celeriac_tasks_total", "counter", "Tasks that ended, by type and state.")
    until = Family("celeriac_tasks_counted_until_seconds", "gauge", "Until when tasks are counted.")
    for (task, state), total in sorted(found.by_task_and_state.items()):
        ended.add(total.count, task=task, state=state)
    until.add(found.counted_until.timestamp() if found.counted_until else None)
    return [ended, until]


def _of_durations(found: Totals) -> Family:
    ran = Family("celeriac_task_duration_seconds", "histogram", "How long tasks ran, by type and state.")
    for (task, state), total in sorted(found.by_task_and_state.items()):
        durations = total.durations
        if durations.count == 0:
            continue
        for limit, count in zip(LIMITS, durations.within, strict=True):
            ran.add(count, "_bucket", task=task, state=state, le=number(limit))
        ran.add(durations.count, "_bucket", task=task, state=state, le="+Inf")
        ran.add(durations.seconds, "_sum", task=task, state=state)
        ran.add(durations.count, "_count", task=task, state=state)
    return ran


def _of_schedule(app: Celery) -> list[Family]:
    if scheduling.named_elsewhere(app) is not None or (found := outlook(app)) is None:
        return []
    entries = Family("celeriac_schedule_entries", "gauge", "Entries of the schedule that have not ended.")
    carried = Family("celeriac_schedule_carried", "gauge", "1: a worker carries the schedule.")
    late = Family("celeriac_schedule_lag_seconds", "gauge", "How long the most overdue entry has waited.")
    fired = Family("celeriac_schedule_tick_lag_seconds", "gauge", "Of the last minute's ticks, the latest.")
    entries.add(found.entries)
    carried.add(int(found.is_carried))
    late.add(found.late_seconds)
    fired.add(worst_tick_seconds(app))
    return [entries, carried, late, fired]


#: What is asked, by the name of the part.
SOURCES: dict[str, Source] = {
    "queues": _of_queues,
    "workers": _of_workers,
    "tasks": _of_tasks,
    "schedule": _of_schedule,
}
