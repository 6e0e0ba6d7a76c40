"""Tasks by a query or by their ids, with what rows of four tables say of each; messages are never read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

from celery import Celery, states
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.errors import QueryError
from celeriac.models import Attempt, TaskRecord, lengths
from celeriac.results.pending import results_alias
from celeriac.selectors import conditions, readable
from celeriac.selectors.conditions import Place
from celeriac.selectors.query import Query
from celeriac.selectors.query_values import Text

#: Ids that are named where a prefix is not unique.
_MOST_NAMED = 3
#: What is read of a record: not its message, in which everything stands.
_OF_RECORD = (
    "task_id",
    "task_name",
    "queue",
    "priority",
    "eta",
    "expires",
    "parent_id",
    "root_id",
    "group_id",
    "published_at",
    "started_at",
    "finished_at",
    "attempts",
    "sent_again_at",
    "origin_id",
)
_OF_RESULT = ("task_id", "status", "worker", "task_args", "task_kwargs", "date_started", "date_done")


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task, as far as the database knows it. What is None is not known, or not so far."""

    task_id: str
    task_name: str
    #: Celery's name of it, or one of the task's own; None: none is stored.
    state: str | None
    queue: str
    worker: str | None
    #: Reprs, without what is sensitive.
    args: str | None
    kwargs: str | None
    priority: int | None
    eta: datetime | None
    expires: datetime | None
    published_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    #: From when it could run until it began, or until now.
    waited_seconds: float | None
    ran_seconds: float | None
    #: Runs that have begun since it was sent.
    attempts: int
    #: Class and message of its last run that did not succeed, on one line; None: there was none.
    error: str | None
    parent_id: str | None
    root_id: str | None
    group_id: str | None
    sent_again_at: datetime | None
    origin_id: str | None


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """The tasks of one type."""

    task_name: str
    tasks: int
    failed: int
    last_published_at: datetime | None


def find(app: Celery, query: Query, *, now: datetime | None = None) -> QuerySet[TaskRecord]:
    """The records of all tasks that a query finds, in no order. Raises QueryError."""
    place = Place(app, results_alias(), now or timezone.now())
    terms = [conditions.of(term, place) for term in query.terms]
    return TaskRecord.objects.using(place.alias).filter(reduce(and_, terms, Q())).order_by()


def listed(records: QuerySet[TaskRecord], limit: int) -> list[TaskState]:
    """The latest of these tasks, by three statements. Index of the order: celeriac_record_published."""
    return states_of(list(records.order_by("-published_at", "-pk").only(*_OF_RECORD)[:limit]))


def states_of(records: Sequence[TaskRecord]) -> list[TaskState]:
    """What is known of these tasks, in their order."""
    ids, alias, now = [record.task_id for record in records], results_alias(), timezone.now()
    results = {
        row.task_id: row
        for row in TaskResult._default_manager.using(alias)
        .filter(task_id__in=ids)
        .only(*_OF_RESULT)
        .order_by()
    }
    errors = _errors(alias, ids)
    return [
        _state(record, results.get(record.task_id), errors.get(record.task_id), now) for record in records
    ]


def one(prefix: str) -> TaskState | None:
    """The task whose id begins so; None: there is none. Raises QueryError where there are several."""
    found = resolved([prefix])[prefix]
    if found is None:
        return None
    records = TaskRecord.objects.using(results_alias()).filter(task_id=found).only(*_OF_RECORD)
    return next(iter(states_of(list(records))), None)


def resolved(prefixes: Iterable[str]) -> dict[str, str | None]:
    """The id of a task for each beginning of one; None: no task's begins so.

    Raises QueryError where several begin so.
    """
    return {prefix: _resolved(prefix) for prefix in dict.fromkeys(prefixes)}


def attempts_of(task_id: str) -> list[Attempt]:
    """The runs of a task that did not succeed, the first one first. Index: celeriac_attempt_task."""
    return list(Attempt.objects.using(results_alias()).filter(task_id=task_id).order_by("number"))


def types(app: Celery, query: Query) -> list[TypeFigures]:
    """How many tasks of each type a query finds, how many failed, and the latest of them; by their names."""
    found = find(app, query)
    failed = Q(
        task_id__in=TaskResult._default_manager.using(found.db)
        .filter(status=states.FAILURE)
        .values("task_id")
    )
    counted = found.values("task_name").annotate(
        tasks=Count("pk"), failed=Count("pk", filter=failed), last_published_at=Max("published_at")
    )
    return [
        TypeFigures(row["task_name"], row["tasks"], row["failed"], row["last_published_at"])
        for row in counted.order_by("task_name")
    ]


def ended(task_ids: Sequence[str]) -> dict[str, str]:
    """The states of those tasks that have ended, by their ids."""
    rows = TaskResult._default_manager.using(results_alias()).order_by()
    ended_rows = rows.filter(task_id__in=task_ids, status__in=states.READY_STATES)
    return dict(ended_rows.values_list("task_id", "status"))


def unended(records: QuerySet[TaskRecord]) -> QuerySet[TaskRecord]:
    """Those that have not ended, as far as is known."""
    results = TaskResult._default_manager.using(records.db).order_by()
    has_ended = results.filter(task_id=OuterRef("task_id"), status__in=states.READY_STATES)
    return records.filter(~Exists(has_ended), finished_at__isnull=True)


def ids_in_steps(records: QuerySet[TaskRecord], size: int) -> Iterator[list[str]]:
    """Their ids in order of the rows, so many at once; each is found anew."""
    last = 0
    while rows := list(records.filter(pk__gt=last).order_by("pk").values_list("pk", "task_id")[:size]):
        last = rows[-1][0]
        yield [task_id for _, task_id in rows]


def _resolved(prefix: str) -> str | None:
    alias = results_alias()
    if not prefix or lengths.fault_of(prefix, lengths.LONG_NAME_LENGTH):
        return None
    records = TaskRecord.objects.using(alias)
    # A whole id may be the beginning of another one, as a task's own ids can be.
    if records.filter(task_id=prefix).exists():
        return prefix
    begun = conditions.of_prefix(alias, Text(prefix, is_literal=True))
    found = list(
        records.filter(begun).order_by("task_id").values_list("task_id", flat=True)[: _MOST_NAMED + 1]
    )
    if len(found) > 1:
        named = ", ".join(found[:_MOST_NAMED])
        more = ", …" if len(found) > _MOST_NAMED else ""
        raise QueryError(f"Several tasks begin with {prefix!r}: {named}{more}. Write more of the id.")
    return found[0] if found else None


def _errors(alias: str, ids: Sequence[str]) -> dict[str, str]:
    """By the last of its attempts: the rows are in order, and the last one stays."""
    rows = Attempt.objects.using(alias).filter(task_id__in=ids).order_by("task_id", "number")
    return {
        task_id: readable.error(exception, message)
        for task_id, exception, message in rows.values_list("task_id", "exception", "message")
    }


def _state(record: TaskRecord, result: Any, error: str | None, now: datetime) -> TaskState:
    due = record.eta or record.published_at
    return TaskState(
        task_id=record.task_id,
        task_name=record.task_name,
        state=result.status if result else None,
        queue=record.queue,
        worker=result.worker if result else None,
        args=readable.repr_of(result.task_args) if result else None,
        kwargs=readable.repr_of(result.task_kwargs) if result else None,
        priority=record.priority,
        eta=record.eta,
        expires=record.expires,
        published_at=record.published_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        waited_seconds=_seconds(due, record.started_at or record.finished_at or now),
        ran_seconds=_seconds(record.started_at, record.finished_at or now),
        attempts=record.attempts,
        error=None if result and result.status == states.SUCCESS else error,
        parent_id=record.parent_id,
        root_id=record.root_id,
        group_id=record.group_id,
        sent_again_at=record.sent_again_at,
        origin_id=record.origin_id,
    )


def _seconds(begin: datetime | None, end: datetime) -> float | None:
    return None if begin is None else max(0.0, (end - begin).total_seconds())
