"""The rows of many published tasks at once: TaskResult in PENDING, and TaskRecord, as plain tuples."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
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


#: By the kind of database: where rows in PENDING go and where records go, of tasks that may be there already,
#: and of new ones.
_targets: dict[str, tuple[tuple[Target, Target], tuple[Target, Target]]] = {}


def inserts(
    connection: Connection,
    pending: Iterable[Row],
    records: Iterable[Row],
    may_exist: Container[str] | None = None,
) -> list[Insert]:
    """How the rows are written: one in PENDING that is there stays, a record without a message is filled.

    The record without one was made by a run. Each task once and in order of their ids: PostgreSQL touches no
    row twice in a statement, and two that write the same rows in one order never wait for each other in a
    circle. `may_exist`: the ids of tasks that somebody else may know, None: all; the others were drawn for
    these rows and are in no table.
    """
    if connection.vendor not in _targets:
        _targets[connection.vendor] = _of_known(connection), _of_new(connection)
    of_known, of_new = _targets[connection.vendor]
    found = []
    for number, rows in enumerate((pending, records)):
        known, new = _parted(rows, may_exist)
        found += [Insert(of_new[number], new), Insert(of_known[number], _first_of_each(known))]
    return found


def _of_known(connection: Connection) -> tuple[Target, Target]:
    results, records = table_of(connection, TaskResult), table_of(connection, TaskRecord)
    filled = {name: records.new(name) for name in RECORD_COLUMNS if name not in _OF_RUNS}
    or_fill = records.or_update(filled, f"{records.stored('message')} = ''")
    return results.target(PENDING_COLUMNS, results.or_keep()), records.target(RECORD_COLUMNS, or_fill)


def _of_new(connection: Connection) -> tuple[Target, Target]:
    results, records = table_of(connection, TaskResult), table_of(connection, TaskRecord)
    return results.target(PENDING_COLUMNS, ""), records.target(RECORD_COLUMNS, "")


def _parted(rows: Iterable[Row], may_exist: Container[str] | None) -> tuple[list[Row], list[Row]]:
    """Rows of tasks that may be there, and new ones: in order too, for an index likes neighbours."""
    if may_exist is None:
        return list(rows), []
    known = [row for row in rows if row[0] in may_exist]
    return known, sorted((row for row in rows if row[0] not in may_exist), key=itemgetter(0))


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
