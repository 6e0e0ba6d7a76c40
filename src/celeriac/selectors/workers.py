"""The workers: who they are, whether they live, and what they run now."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from celery import Celery, states
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.broker import address, caller, clock
from celeriac.broker.queries import clocks, figures
from celeriac.broker.queries.figures import Life
from celeriac.conf import options
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias
from celeriac.selectors import places

#: Tasks that are looked at for what runs now.
_MOST = 1000
_NOT_RUNNING = frozenset({*states.READY_STATES, states.PENDING, states.RECEIVED, states.RETRY})
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that a worker has begun and nobody has ended."""

    task_id: str
    task_name: str
    started_at: datetime | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One life of a process that consumes messages."""

    id: int
    node: str
    host: str
    pid: int
    #: Empty for a consumer that is no worker of Celery's.
    pool: str
    #: How many tasks it runs at once; 0: not known.
    concurrency: int
    queues: tuple[str, ...]
    started_at: datetime
    #: Since its last sign of life, by the database's clock; None: there was none yet.
    heartbeat_age_seconds: float | None
    #: False: the others hold it for lost, or it gave no sign of life for LOST_AFTER_SECONDS.
    is_alive: bool
    running: tuple[RunningTask, ...] = field(default=())


def workers(app: Celery, *, with_tasks: bool = True) -> list[WorkerState]:
    """All workers that have a row, by their names; of the lost ones those of the last day.

    None where neither messages nor results are in a database. Five indexed statements, or two without
    the tasks. Raises the database's errors.
    """
    alias = places.of_workers(app)
    if alias is None:
        return []
    now, lives = caller.run(
        alias, lambda connection, queries: (clocks.now(connection, queries), figures.lives(connection))
    )
    running = _running(app, lives) if with_tasks and lives else {}
    return [_state(life, now, running.get(life.id, [])) for life in lives]


def are_alive(app: Celery) -> bool:
    """Whether any worker is there that runs tasks."""
    return any(each.is_alive and each.pool for each in workers(app, with_tasks=False))


def _state(life: Life, now: int, running: list[RunningTask]) -> WorkerState:
    age = None if life.beaten_at is None else max(0, now - life.beaten_at) / clock.MICROSECONDS
    return WorkerState(
        id=life.id,
        node=life.node,
        host=life.host,
        pid=life.pid,
        pool=life.pool,
        concurrency=life.concurrency,
        queues=tuple(name for name in life.queues.split(",") if name),
        started_at=_as_stored(_EPOCH + timedelta(microseconds=life.started_at)),
        heartbeat_age_seconds=age,
        is_alive=not life.is_lost and (age is None or age <= options().lost_after_seconds),
        running=tuple(running),
    )


def _as_stored(moment: datetime) -> datetime:
    """As the other tables have moments."""
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def _running(app: Celery, lives: list[Life]) -> dict[int, list[RunningTask]]:
    """By the worker's row. A message that it holds says whose it is; without one the node's name does."""
    if not isinstance(app.backend, DatabaseBackend):
        return {}
    held = _held(app, lives)
    rows = TaskResult._default_manager.using(results_alias()).order_by("date_started", "pk")
    columns = ("task_id", "task_name", "worker", "date_started")
    # Two statements: with an OR between them neither index would be used.
    begun = list(rows.filter(status=states.STARTED).values_list(*columns)[:_MOST])
    others = rows.filter(Q(task_id__in=list(held)), ~Q(status__in=[*_NOT_RUNNING, states.STARTED]))
    begun += others.values_list(*columns) if held else []
    by_node = {life.node: life for life in lives}
    found: dict[int, list[RunningTask]] = defaultdict(list)
    for task_id, name, node, started_at in begun:
        worker = held.get(task_id) or _of_node(by_node.get(node or ""), started_at)
        if worker is not None:
            found[worker].append(_task(task_id, name, started_at))
    return found


def _held(app: Celery, lives: list[Life]) -> dict[str, int]:
    alias = address.alias_of(app)
    if alias is None:
        return {}
    ids = [life.id for life in lives]
    found = caller.run(alias, lambda connection, _: figures.claimed_tasks(connection, ids, _MOST))
    return {task_id: worker for worker, task_id in found}


def _of_node(life: Life | None, started_at: datetime | None) -> int | None:
    """The life of that node, if the task began in it: both times are of its host."""
    if life is None or started_at is None:
        return None
    aware = timezone.make_aware(started_at) if timezone.is_naive(started_at) else started_at
    return life.id if aware >= _EPOCH + timedelta(microseconds=life.started_at) else None


def _task(task_id: str, name: str | None, started_at: datetime | None) -> RunningTask:
    seconds = None if started_at is None else (timezone.now() - started_at).total_seconds()
    return RunningTask(task_id, name or "", started_at, None if seconds is None else max(0.0, seconds))
