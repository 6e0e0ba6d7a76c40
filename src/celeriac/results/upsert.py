"""The SQL of results: one statement per write, and a state that never goes backwards.

Every statement may run twice, and before or after any other of the same task: a guard inside the
statement compares the stored state with the written one, so that nothing is read before. This file
knows tables and columns, and neither Celery's app nor the backend.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celery import states
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.results.tables import insert, limit_of, storable, table_of, time_of

_END_RANK, _SUCCESS_RANK, _OTHER_RANK = 3, 4, 2
#: RETRY, STARTED and every state that a task invents are between RECEIVED and the end states.
_RANKS = {
    states.PENDING: 0,
    states.RECEIVED: 1,
    **dict.fromkeys(sorted(states.READY_STATES), _END_RANK),
    states.SUCCESS: _SUCCESS_RANK,
}


@dataclass(slots=True)
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
    #: When the task began, where its STARTED is folded into a later state.
    started_at: datetime | None = None

    def __post_init__(self) -> None:
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, storable(value, limit))


#: Columns that belong to the state: a new state replaces them, also by NULL.
_REPLACED = ("result", "traceback", "meta", "content_type", "content_encoding", "date_done")
#: Columns that belong to the task: a write that does not know them keeps them.
KEPT = ("task_name", "task_args", "task_kwargs", "worker", "periodic_task_name")
_LIMITS = {name: limit_of(TaskResult, name) for name in ("result", "traceback", "meta", *KEPT)}
_COLUMNS = ("task_id", "date_created", "date_started", *KEPT, *_REPLACED, "status")

#: The values of a state in the order of the columns: what a note of a task carries. Times are in ISO format.
StateRow = list[Any]
TASK_ID, STARTED_AT, AT, STATUS = (
    _COLUMNS.index(name) for name in ("task_id", "date_started", "date_done", "status")
)
#: Where a row has what belongs to the task, and what belongs to the state.
OF_TASK = slice(_COLUMNS.index(KEPT[0]), _COLUMNS.index(KEPT[-1]) + 1)
OF_STATE = slice(OF_TASK.stop, len(_COLUMNS))
_CREATED_AT = _COLUMNS.index("date_created")


def write(connection: BaseDatabaseWrapper, writes: Sequence[Write]) -> None:
    """Store the states whose guard lets them: SUCCESS is final, and no rank goes down."""
    write_rows(connection, list(map(row_of, writes)))


def row_of(item: Write) -> StateRow:
    """A state as a row; its times stay what they are."""
    started = item.at if item.status == states.STARTED else item.started_at
    times = {"date_created": item.at, "date_done": item.at, "date_started": started}
    return [times[name] if name in times else getattr(item, name) for name in _COLUMNS]


def end_of(began: StateRow, status: str, content: tuple[str, str, str], meta: str | None) -> StateRow:
    """The end, now, of a task whose beginning is given, with its serialized result."""
    content_type, content_encoding, result = content
    at, row = timezone.now().isoformat(), began.copy()
    row[_CREATED_AT] = at
    row[OF_STATE] = (
        storable(result, _LIMITS["result"]),
        None,
        storable(meta, _LIMITS["meta"]),
        content_type,
        content_encoding,
        at,
        status,
    )
    return row


def write_rows(connection: BaseDatabaseWrapper, rows: Sequence[StateRow]) -> None:
    """Store the states in rows as `write` does, and leave the rows as they are.

    Locks the rows in order of task_id, by its unique index.
    """
    table = table_of(connection, TaskResult)
    stored, new = table.stored("status"), table.new("status")
    # Of two states of one rank the later stands; only times of one worker are of one clock.
    workers = (f"COALESCE({name}, '')" for name in (table.stored("worker"), table.new("worker")))
    is_late = (
        f"{_rank(new)} = {_rank(stored)} AND {' = '.join(workers)}"
        f" AND {table.stored('date_done')} > {table.new('date_done')}"
    )
    guard = (
        f"({stored} <> '{states.SUCCESS}' AND {_rank(new)} >= {_rank(stored)}"
        f" AND NOT COALESCE({is_late}, FALSE))"
    )
    kept = {name: f"COALESCE({table.new(name)}, {table.stored(name)})" for name in ("date_started", *KEPT)}
    # `status` comes last: MySQL assigns from left to right, and the guard of each column reads it.
    replaced = {name: table.new(name) for name in (*_REPLACED, "status")}
    target = table.target(_COLUMNS, table.or_update({**kept, **replaced}, guard))
    insert(connection, target, list(_values(connection, rows)))


def _values(connection: BaseDatabaseWrapper, rows: Sequence[StateRow]) -> Iterator[tuple[str, StateRow]]:
    time = time_of(connection)
    for row in rows:
        values = row.copy()
        values[_CREATED_AT] = values[AT] = time(row[AT])
        if row[STARTED_AT] is not None:
            values[STARTED_AT] = time(row[STARTED_AT])
        yield row[TASK_ID], values


def may_follow(before: str, after: str) -> bool:
    """Whether a task in one state may get the other: the guard of `write`, for states of one process."""
    return before != states.SUCCESS and _rank_of(after) >= _rank_of(before)


def _rank_of(status: str) -> int:
    return _RANKS.get(status, _OTHER_RANK)


def _rank(status: str) -> str:
    cases = " ".join(f"WHEN '{state}' THEN {rank}" for state, rank in _RANKS.items())
    return f"CASE {status} {cases} ELSE {_OTHER_RANK} END"
