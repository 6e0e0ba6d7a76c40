"""The rows of many published tasks at once: TaskResult in PENDING, and TaskRecord, as plain tuples."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django_celery_results.models import TaskResult

from celeriac.database.inserting import Insert, Row, Target
from celeriac.models import TaskRecord
from celeriac.results.tables import limit_of, storable
from celeriac.results.upsert import Write

#: What a row in PENDING has; every other column is NULL.
PENDING_COLUMNS = (
    ("task_id", "varchar"),
    ("task_name", "varchar"),
    ("task_args", "text"),
    ("task_kwargs", "text"),
    ("content_type", "varchar"),
    ("content_encoding", "varchar"),
    ("status", "varchar"),
    ("date_created", "timestamptz"),
    ("date_done", "timestamptz"),
)
#: What a publisher knows. `message` is last: MySQL assigns from left to right, and the guard reads it.
RECORD_COLUMNS = (
    ("task_id", "varchar"),
    ("task_name", "varchar"),
    ("queue", "varchar"),
    ("priority", "smallint"),
    ("eta", "timestamptz"),
    ("expires", "timestamptz"),
    ("parent_id", "varchar"),
    ("root_id", "varchar"),
    ("group_id", "varchar"),
    ("published_at", "timestamptz"),
    ("attempts", "integer"),
    ("message", "text"),
)
_FILLED = tuple(name for name, _ in RECORD_COLUMNS if name not in {"task_id", "attempts"})
_LIMITS = {name: limit_of(TaskRecord, name) for name, _ in RECORD_COLUMNS}


def inserts(connection: Connection, pending: Iterable[Row], records: Iterable[Row]) -> list[Insert]:
    """How the rows are written: one in PENDING that is there stays, a record without a message is filled.

    Each task once and in order of their ids: PostgreSQL touches no row twice in a statement, and two that
    write the same rows in one order never wait for each other in a circle.
    """
    has_target = connection.features.supports_update_conflicts_with_target
    of_result, of_record = _TARGETS[has_target]
    return [
        Insert(of_result, _first_of_each(pending)),
        Insert(of_record, _first_of_each(records)),
    ]


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
        _stored(connection, storable(getattr(record, name), _LIMITS[name])) for name, _ in RECORD_COLUMNS
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


def _or_fill(table: str) -> str:
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in _FILLED)
    return f"""ON CONFLICT ("task_id") DO UPDATE SET {changes} WHERE {table}."message" = ''"""


def _or_fill_mysql(table: str) -> str:
    changes = ", ".join(
        f"`{name}` = IF({table}.`message` = '', VALUES(`{name}`), {table}.`{name}`)" for name in _FILLED
    )
    return f"ON DUPLICATE KEY UPDATE {changes}"


#: By whether the database speaks ON CONFLICT, as PostgreSQL and SQLite do, or ON DUPLICATE KEY.
_TARGETS = {
    True: (
        Target(
            f'"{TaskResult._meta.db_table}"',
            PENDING_COLUMNS,
            'ON CONFLICT ("task_id") DO NOTHING',
            is_narrowable=True,
        ),
        Target(
            f'"{TaskRecord._meta.db_table}"',
            RECORD_COLUMNS,
            _or_fill(f'"{TaskRecord._meta.db_table}"'),
            is_narrowable=True,
        ),
    ),
    False: (
        Target(
            f"`{TaskResult._meta.db_table}`",
            PENDING_COLUMNS,
            f"ON DUPLICATE KEY UPDATE `task_id` = `{TaskResult._meta.db_table}`.`task_id`",
            mark="`",
            is_narrowable=True,
        ),
        Target(
            f"`{TaskRecord._meta.db_table}`",
            RECORD_COLUMNS,
            _or_fill_mysql(f"`{TaskRecord._meta.db_table}`"),
            mark="`",
            is_narrowable=True,
        ),
    ),
}
