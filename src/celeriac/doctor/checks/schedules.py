"""The schedule: whether anybody carries it, and whether two do. What ran tells, whoever sent it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from celery.schedules import maybe_schedule
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.results.pending import results_alias

_LATE = timedelta(minutes=5)
#: The last so many runs of an entry are looked at, and so many pairs of them are no accident.
_RUNS, _PAIRS = 20, 3
#: A crontab fires once a minute at the most.
_LEAST_GAP = timedelta(minutes=1)

IDLE = Kind(
    "schedule-idle",
    Level.ERROR,
    "CELERY_BEAT_SCHEDULE has an entry that nobody sends",
    "No scheduler runs, or it runs with other settings.",
    "python manage.py celery start --beat, on one host.",
)
TWICE = Kind(
    "schedule-twice",
    Level.WARNING,
    "an entry of CELERY_BEAT_SCHEDULE is sent twice",
    "Two schedulers run, and each sends every entry.",
    "Run `celery beat`, or a worker with --beat, on one host alone.",
)
KINDS = (IDLE, TWICE)


def _entries(patient: Patient) -> Iterator[Finding]:
    if not patient.has_results or not patient.living:
        return
    for name, entry in (patient.conf.beat_schedule or {}).items():
        task = patient.app.tasks.get(entry.get("task"))
        # What ignores its result leaves no row.
        if task is not None and not task.ignore_result and "schedule" in entry:
            yield from _entry(patient, str(name), maybe_schedule(entry["schedule"], app=patient.app))


def _entry(patient: Patient, name: str, schedule: Any) -> Iterator[Finding]:
    rows = TaskResult._default_manager.using(results_alias()).filter(periodic_task_name=name)
    runs = [_aware(each) for each in rows.order_by("-pk").values_list("date_created", flat=True)[:_RUNS]]
    since = max(runs, default=min(_aware(worker.started_at) for worker in patient.living))
    late = -_remaining(schedule, since)
    if late > _LATE:
        yield IDLE.found(f"{name!r} should have been sent {late.total_seconds() / 60:.0f} minutes ago.")
    gap = (getattr(schedule, "run_every", None) or _LEAST_GAP) / 2
    close = sum(later - earlier < gap for later, earlier in pairwise(sorted(runs, reverse=True)))
    if close >= _PAIRS:
        yield TWICE.found(f"{name!r} was sent twice at {close} of its last {len(runs)} times.")


def _remaining(schedule: Any, since: datetime) -> timedelta:
    remaining: timedelta = schedule.remaining_estimate(schedule.maybe_make_aware(since))
    return remaining


def _aware(moment: datetime) -> datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


CHECKS = (_entries,)
