"""The rows of many published tasks at once: TaskResult in PENDING, and TaskRecord, as plain tuples."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django_celery_results.models import TaskResult

from celeriac.database.inserting import Insert, Row, Target
from celeriac.models import TaskRecord
from celeriac.results.tables import limit_of, storable, table_of
from celeriac.results.upsert import Write

#: What a row in PENDING has; every other column is NULL.
PENDING_COLUMNS = (
    "task_id",
    "task_name",
    "task_args",
    "task_kwargs",
    "content_type",
    "content_encoding",
    "status",
    "date_created",
    "date_done",
)
#: What a publisher knows. `message` is last: MySQL assigns from left to right, and the guard reads it.
RECORD_COLUMNS = (
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
    "attempts",
    "message",
)
_OF_RUNS = frozenset({"task_id", "attempts"})
_LIMITS = {name: limit_of(TaskRecord, name) for name in RECORD_COLUMNS}


#: By the kind of database: where rows in PENDING go, and where records go.
_targets: dict[str, tuple[Target, Target]] = {}


def inserts(connection: Connection, pending: Iterable[Row], records: Iterable[Row]) -> list[Insert]:
    """How the rows are written: one in PENDING that is there stays, a record without a message is filled.

    The record without one was made by a run. Each task once and in order of their ids: PostgreSQL touches no
    row twice in a statement, and two that write the same rows in one order never wait for each other in a
    circle.
    """
    if connection.vendor not in _targets:
        _targets[connection.vendor] = _pending_target(connection), _record_target(connection)
    of_result, of_record = _targets[connection.vendor]
    return [Insert(of_result, _first_of_each(pending)), Insert(of_record, _first_of_each(records))]


def _pending_target(connection: Connection) -> Target:
    table = table_of(connection, TaskResult)
    return table.target(PENDING_COLUMNS, table.or_keep())


def _record_target(connection: Connection) -> Target:
    table = table_of(connection, TaskRecord)
    filled = {name: table.new(name) for name in RECORD_COLUMNS if name not in _OF_RUNS}
    return table.target(RECORD_COLUMNS, table.or_update(filled, f"{table.stored('message')} = ''"))


def pending_row(connection: Connection, write: Write) -> Row:
    """A state PENDING as a row of PENDING_COLUMNS."""
    at = stored_time(connection, write.at)
    return (
        write.task_id,
        write.task_name,
        write.task_args,
        write.task_kwargs,
        write.content_type,
        write.content_encoding,
        write.status,
        at,
        at,
    )


def record_row(connection: Connection, record: TaskRecord) -> Row:
    """A record as a row of RECORD_COLUMNS."""
    return tuple(
        _stored(connection, storable(getattr(record, name), _LIMITS[name])) for name in RECORD_COLUMNS
    )


def stored_time(connection: Connection, time: datetime | None) -> Any:
    """A time as the driver of this database wants it in a statement."""
    adapted: Any = connection.ops.adapt_datetimefield_value(time)
    return str(adapted) if isinstance(adapted, datetime) else adapted


def _stored(connection: Connection, value: Any) -> Any:
    return stored_time(connection, value) if isinstance(value, datetime) else value


def _first_of_each(rows: Iterable[Row]) -> Sequence[Row]:
    """The first row of each task, or its first one that has a message at its end, in order of the ids."""
    given = list(rows)
    if len(given) == 1:
        return given
    found: dict[str, Row] = {}
    for row in given:
        known = found.get(row[0])
        if known is None or known[-1] == "":
            found[row[0]] = row
    return [found[task_id] for task_id in sorted(found)]
