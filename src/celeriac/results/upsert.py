"""The SQL of results: one statement per write, and a state that never goes backwards.

Every statement may run twice, and before or after any other of the same task: a guard inside the
statement compares the stored state with the written one, so that nothing is read before. This file
knows tables and columns, and neither Celery's app nor the backend.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery import states
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.database import charset
from celeriac.models import TaskRecord

#: Rows of one statement at most: above it the statement only grows, not the speed.
MOST_ROWS = 100

_END_RANK, _SUCCESS_RANK, _OTHER_RANK = 3, 4, 2
#: RETRY, STARTED and every state that a task invents are between RECEIVED and the end states.
_RANKS = {
    states.PENDING: 0,
    states.RECEIVED: 1,
    **dict.fromkeys(sorted(states.READY_STATES), _END_RANK),
    states.SUCCESS: _SUCCESS_RANK,
}


@dataclass(frozen=True, slots=True)
class Write:
    """A state of a task and what is known with it; None in the second group keeps what is stored."""

    task_id: str
    status: str
    content_type: str
    content_encoding: str
    result: str | None = None
    traceback: str | None = None
    meta: str | None = None

    task_name: str | None = None
    task_args: str | None = None
    task_kwargs: str | None = None
    worker: str | None = None
    periodic_task_name: str | None = None

    at: datetime = field(default_factory=timezone.now)

    def __post_init__(self) -> None:
        for name in ("result", "traceback", "meta", *_KEPT):
            object.__setattr__(self, name, _storable(getattr(self, name), _limit(TaskResult, name)))


#: Columns that belong to the state: a new state replaces them, also by NULL.
_REPLACED = ("result", "traceback", "meta", "content_type", "content_encoding", "date_done")
#: Columns that belong to the task: a write that does not know them keeps them.
_KEPT = ("task_name", "task_args", "task_kwargs", "worker", "periodic_task_name")
_COLUMNS = ("task_id", "date_created", "date_started", *_KEPT, *_REPLACED, "status")


def write(connection: BaseDatabaseWrapper, writes: Sequence[Write]) -> None:
    """Store the states whose guard lets them: SUCCESS is final, and no rank goes down.

    Locks the rows in order of task_id, by its unique index.
    """
    table = _Table(connection, TaskResult)
    stored, new = table.stored("status"), table.new("status")
    guard = f"({stored} <> '{states.SUCCESS}' AND {_rank(new)} >= {_rank(stored)})"
    kept = {name: f"COALESCE({table.new(name)}, {table.stored(name)})" for name in ("date_started", *_KEPT)}
    # `status` comes last: MySQL assigns from left to right, and the guard of each column reads it.
    replaced = {name: table.new(name) for name in (*_REPLACED, "status")}
    table.insert(_COLUMNS, _rows(connection, writes), table.or_update({**kept, **replaced}, guard))


def insert_pending(connection: BaseDatabaseWrapper, writes: Sequence[Write]) -> None:
    """Insert rows of tasks that were published; a row that is there already stays as it is."""
    table = _Table(connection, TaskResult)
    table.insert(_COLUMNS, _rows(connection, writes), table.or_keep())


def insert_records(connection: BaseDatabaseWrapper, records: Sequence[TaskRecord]) -> None:
    """Insert what a publisher knows; a record with a message stays, one without is filled.

    The one without is made by `count_attempt`.
    """
    fields = [item for item in TaskRecord._meta.concrete_fields if not item.primary_key]
    table = _Table(connection, TaskRecord)
    # `message` is last for the same reason as `status` above.
    known = [item.name for item in fields if item.name not in _OF_WORKER] + ["message"]
    rows = {
        record.task_id: [
            item.get_db_prep_save(
                _storable(getattr(record, item.name), item.max_length), connection=connection
            )
            for item in fields
        ]
        for record in records
    }
    table.insert(
        [item.name for item in fields],
        sorted(rows.items()),
        table.or_update({name: table.new(name) for name in known}, f"{table.stored('message')} = ''"),
    )


def count_attempt(connection: BaseDatabaseWrapper, task_id: str, task_name: str, at: datetime) -> None:
    """Add a started run to the task's record, which need not be there yet.

    The publisher on an external broker writes its record when its transaction commits, perhaps after this.
    """
    time = connection.ops.adapt_datetimefield_value(at)
    name = _storable(task_name, _limit(TaskRecord, "task_name"))
    table = _Table(connection, TaskRecord)
    updates = {"started_at": table.new("started_at"), "attempts": f"{table.stored('attempts')} + 1"}
    table.insert(
        ("task_id", "task_name", "queue", "message", "published_at", "started_at", "attempts"),
        [(task_id, [task_id, name, "", "", time, time, 1])],
        table.or_update(updates, "1 = 1"),
    )


def finish(connection: BaseDatabaseWrapper, task_id: str, at: datetime) -> None:
    """Write the end of a task into its record, if there is one."""
    column = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {column(TaskRecord._meta.db_table)} SET {column('finished_at')} = %s"
            f" WHERE {column('task_id')} = %s",
            [connection.ops.adapt_datetimefield_value(at), task_id],
        )


#: Columns of TaskRecord that a publisher leaves alone, and the one that must come last.
_OF_WORKER = frozenset({"task_id", "started_at", "finished_at", "attempts", "message"})


class _Table:
    """A table with a unique `task_id`, in the words of one database."""

    def __init__(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> None:
        self._connection = connection
        self._columns = {
            item.name: connection.ops.quote_name(str(item.column)) for item in model._meta.concrete_fields
        }
        self._table = connection.ops.quote_name(model._meta.db_table)
        #: PostgreSQL and SQLite speak ON CONFLICT, MariaDB and MySQL speak ON DUPLICATE KEY.
        self._has_target = connection.features.supports_update_conflicts_with_target

    def column(self, name: str) -> str:
        return self._columns[name]

    def stored(self, name: str) -> str:
        return f"{self._table}.{self.column(name)}"

    def new(self, name: str) -> str:
        return f"excluded.{self.column(name)}" if self._has_target else f"VALUES({self.column(name)})"

    def or_update(self, updates: Mapping[str, str], guard: str) -> str:
        if self._has_target:
            changes = ", ".join(f"{self.column(name)} = {value}" for name, value in updates.items())
            return f"ON CONFLICT ({self.column('task_id')}) DO UPDATE SET {changes} WHERE {guard}"
        changes = ", ".join(
            f"{self.column(name)} = IF({guard}, {value}, {self.stored(name)})"
            for name, value in updates.items()
        )
        return f"ON DUPLICATE KEY UPDATE {changes}"

    def or_keep(self) -> str:
        if self._has_target:
            return f"ON CONFLICT ({self.column('task_id')}) DO NOTHING"
        # INSERT IGNORE would also cut values that are too long, and take NULL for a default.
        return f"ON DUPLICATE KEY UPDATE {self.column('task_id')} = {self.stored('task_id')}"

    def insert(self, names: Sequence[str], rows: Sequence[tuple[str, list[Any]]], conflict: str) -> None:
        columns = ", ".join(map(self.column, names))
        row = f"({', '.join(['%s'] * len(names))})"
        with self._connection.cursor() as cursor:
            for batch in _rounds(rows, self._most_rows(len(names))):
                values = ", ".join([row] * len(batch))
                charset.execute(
                    cursor,
                    f"INSERT INTO {self._table} ({columns}) VALUES {values} {conflict}",
                    [value for values_of_row in batch for value in values_of_row],
                )

    def _most_rows(self, columns: int) -> int:
        limit = self._connection.features.max_query_params
        return MOST_ROWS if limit is None else max(1, min(MOST_ROWS, limit // columns))


def _rounds(rows: Sequence[tuple[str, list[Any]]], size: int) -> Iterator[list[list[Any]]]:
    """Batches that hold a task once each, in order per task, sorted by task.

    PostgreSQL refuses to touch a row twice in one statement; two workers that lock rows in one order
    never wait for each other in a circle.
    """
    rounds: list[dict[str, list[Any]]] = []
    seen: dict[str, int] = {}
    for task_id, values in rows:
        number = seen[task_id] = seen.get(task_id, -1) + 1
        if number == len(rounds):
            rounds.append({})
        rounds[number][task_id] = values
    for one_each in rounds:
        ordered = [one_each[task_id] for task_id in sorted(one_each)]
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]


def _rows(connection: BaseDatabaseWrapper, writes: Sequence[Write]) -> list[tuple[str, list[Any]]]:
    return [(item.task_id, _values(connection, item)) for item in writes]


def _values(connection: BaseDatabaseWrapper, item: Write) -> list[Any]:
    time = connection.ops.adapt_datetimefield_value(item.at)
    times = {
        "date_created": time,
        "date_done": time,
        "date_started": time if item.status == states.STARTED else None,
    }
    return [times[name] if name in times else getattr(item, name) for name in _COLUMNS]


def _rank(status: str) -> str:
    cases = " ".join(f"WHEN '{state}' THEN {rank}" for state, rank in _RANKS.items())
    return f"CASE {status} {cases} ELSE {_OTHER_RANK} END"


def _limit(model: type[models.Model], name: str) -> int | None:
    return getattr(model._meta.get_field(name), "max_length", None)


def _storable(value: Any, limit: int | None) -> Any:
    """Text as every database takes it: no NUL (PostgreSQL refuses it), no half of a pair, not too long."""
    if not isinstance(value, str):
        return value
    text = value.replace("\x00", "\ufffd")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text if limit is None else text[:limit]
