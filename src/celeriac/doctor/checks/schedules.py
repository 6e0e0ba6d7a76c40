"""The schedule: whether anybody carries it, and whether two do.

Of our own scheduler the rows of the schedule tell; of a beat, which is Celery's or the project's, what ran.
"""

from collections.abc import Iterator, Set
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from celery.schedules import maybe_schedule
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.models import CatchUp, Tick
from celeriac.results.pending import results_alias
from celeriac.results.retention import TICKS_KEPT
from celeriac.schedule import book, settings_entries, table
from celeriac.schedule.entries import Unusable
from celeriac.schedule.scheduler import alias_of
from celeriac.selectors import schedules
from celeriac.worker import scheduling

_LATE = timedelta(minutes=5)
#: A scheduler that starts has made its notes by then.
_SOON = timedelta(minutes=1)
#: The last so many runs of an entry are looked at, and so many pairs of them are no accident.
_RUNS, _PAIRS = 20, 3
#: A crontab fires once a minute at the most.
_LEAST_GAP = timedelta(minutes=1)

_Run = tuple[datetime, str]

IDLE = Kind(
    "schedule-idle",
    Level.ERROR,
    "the schedule has an entry that nobody sends",
    "No worker carries the schedule and no beat runs, or they run with other settings.",
    "python manage.py celery start, which carries it; any number of workers may.",
)
TWICE = Kind(
    "schedule-twice",
    Level.WARNING,
    "an entry of the schedule is sent twice",
    "Two beats run, or one of an app without Celeriac beside workers that carry the schedule.",
    "End `celery beat`: workers of `celery start` need none. Or start them with --no-beat.",
)
BESIDE = Kind(
    "schedule-beside-beat",
    Level.WARNING,
    "`celery beat` runs beside workers that carry the schedule",
    "The entries of the settings are left to it: `schedule pause` and `skip` do not hold for them.",
    "End `celery beat`: the workers carry them then. Or start all of these with --no-beat.",
)
UNKNOWN = Kind(
    "schedule-unknown-task",
    Level.WARNING,
    "an entry of the schedule sends a task that this code does not know",
    "Unless another project's worker knows it, one more waits at each due time, and becomes a dead letter.",
    "Correct the name in the entry, or deploy the code that has the task.",
)
KINDS = (IDLE, TWICE, BESIDE, UNKNOWN)


def _settings(patient: Patient) -> Iterator[Finding]:
    if not (patient.living or patient.told):
        return
    carried, hidden = _carried(patient), _hidden(patient)
    for name, entry in (patient.conf.beat_schedule or {}).items():
        if name in hidden:
            continue
        task = patient.app.tasks.get(entry.get("task"))
        # What ignores its result leaves no row.
        is_told = patient.has_results and task is not None and not task.ignore_result
        runs = _runs(periodic_task_name=str(name)) if is_told else []
        if name in carried:
            yield from _overdue(str(name), timedelta(seconds=carried[name]))
        elif is_told and patient.living and "schedule" in entry:
            # A beat of an older version does not say whose task it is.
            yield from _silent(patient, str(name), entry["schedule"], runs or _runs(task_name=task.name))
        yield from _twice(patient, str(name), entry, runs)


def _ours(patient: Patient) -> Iterator[Finding]:
    """What our scheduler alone tells, and the entries of the table, of which no beat of Celery's knows."""
    if scheduling.named_elsewhere(patient.app) is not None or not (patient.living or patient.told):
        return
    carried, rows = _carried(patient), []
    for entry in book.everything(patient.app):
        if isinstance(entry, Unusable) and (carried or entry.is_from_table):
            yield IDLE.found(f"{entry.name!r} is left out: {entry.fault}", fix="Correct the entry.")
        elif entry.is_from_table:
            rows.append(entry.name)
            yield from _overdue(entry.name, timedelta(seconds=carried.get(entry.name, 0.0)))
    started = [_aware(worker.started_at) for worker in patient.living]
    if rows and not carried and min(started, default=_now()) < _now() - _SOON:
        yield IDLE.found(f"No worker carries the schedule, and its table has {rows[0]!r}.")


def _beside(patient: Patient) -> Iterator[Finding]:
    if scheduling.named_elsewhere(patient.app) is not None or not patient.living:
        return
    found = schedules.outlook(patient.app)
    if found is not None and found.is_carried and found.beat is not None:
        yield BESIDE.found(f"A beat runs at {found.beat}.")


def _unknown(patient: Patient) -> Iterator[Finding]:
    if scheduling.named_elsewhere(patient.app) is not None:
        return
    # Loaded before it is asked which tasks are known.
    assert patient.task_names is not None
    for entry in book.everything(patient.app):
        if not isinstance(entry, Unusable) and entry.task not in patient.app.tasks:
            near = get_close_matches(entry.task, patient.app.tasks, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            yield UNKNOWN.found(f"{entry.name!r} sends {entry.task}, which no tasks.py here has.{meant}")


def _hidden(patient: Patient) -> set[str]:
    """Entries of the settings in whose place a row stands, or that cannot be scheduled: others judge them."""
    if scheduling.named_elsewhere(patient.app) is not None:
        return set()
    faulty = [each.name for each in settings_entries.entries(patient.app) if isinstance(each, Unusable)]
    return {*faulty, *(row.name for row in table.rows())}


def _carried(patient: Patient) -> dict[str, float]:
    return {} if scheduling.named_elsewhere(patient.app) is not None else schedules.carried(patient.app)


def _overdue(name: str, late: timedelta) -> Iterator[Finding]:
    if late > _LATE:
        yield IDLE.found(f"{name!r} should have been sent {late.total_seconds() / 60:.0f} minutes ago.")


def _silent(patient: Patient, name: str, given: Any, runs: list[_Run]) -> Iterator[Finding]:
    """No worker of ours has it: perhaps a beat."""
    schedule = maybe_schedule(given, app=patient.app)
    since = max(
        (moment for moment, _ in runs), default=min(_aware(each.started_at) for each in patient.living)
    )
    yield from _overdue(name, -schedule.remaining_estimate(schedule.maybe_make_aware(since)))


def _twice(patient: Patient, name: str, entry: Any, runs: list[_Run]) -> Iterator[Finding]:
    if not runs or "schedule" not in entry:
        return
    ticks = _ticks(patient, name, runs)
    if ticks or entry.get("catch_up") == CatchUp.ALL:
        # Of what is older it is not known any more whether it was one of ours.
        runs = [run for run in runs if run[0] > _now() - TICKS_KEPT]
    schedule = maybe_schedule(entry["schedule"], app=patient.app)
    gap = (getattr(schedule, "run_every", None) or _LEAST_GAP) / 2
    pairs = _pairs(sorted(runs), gap, ticks)
    if pairs >= _PAIRS:
        yield TWICE.found(f"{name!r} was sent twice at {pairs} of its last {len(runs)} times.")


def _pairs(runs: list[_Run], gap: timedelta, ticks: Set[str]) -> int:
    """How many runs have another one beside them; of ours and a beat's, one of each."""
    found = place = 0
    while place + 1 < len(runs):
        (earlier, one), (later, other) = runs[place : place + 2]
        # Several of ours at once are a policy for what was missed; several of the others, orders by hand.
        is_pair = later - earlier < gap and (not ticks or (one in ticks) != (other in ticks))
        found, place = found + is_pair, place + 1 + is_pair
    return found


def _runs(**known: str) -> list[_Run]:
    rows = TaskResult._default_manager.using(results_alias()).filter(**known)
    newest = rows.order_by("-pk").values_list("date_created", "task_id")[:_RUNS]
    return [(_aware(created), task_id) for created, task_id in newest]


def _ticks(patient: Patient, name: str, runs: list[_Run]) -> set[str]:
    """Which of these runs our schedulers have sent. Index: celeriac_tick_unique."""
    ids = {task_id for _, task_id in runs}
    rows = Tick.objects.using(alias_of(patient.app)).filter(name=name)
    return ids & set(rows.order_by("-due").values_list("task_id", flat=True)[: 2 * _RUNS])


def _now() -> datetime:
    return _aware(timezone.now())


def _aware(moment: datetime) -> datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


CHECKS = (_settings, _ours, _beside, _unknown)
