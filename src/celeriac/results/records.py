"""The SQL of TaskRecord: what a publisher knows of a task, and what its runs add."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.models import TaskRecord
from celeriac.results.tables import Table, limit_of, storable

#: Columns of TaskRecord that a publisher leaves alone, and the one that must come last.
_OF_WORKER = frozenset({"task_id", "started_at", "finished_at", "attempts", "message"})


def insert(connection: BaseDatabaseWrapper, records: Sequence[TaskRecord]) -> None:
    """Insert what a publisher knows; a record with a message stays, one without is filled.

    The one without is made by `add_runs`.
    """
    fields = [item for item in TaskRecord._meta.concrete_fields if not item.primary_key]
    table = Table(connection, TaskRecord)
    # `message` is last for the same reason as `status` above.
    known = [item.name for item in fields if item.name not in _OF_WORKER] + ["message"]
    rows = {
        record.task_id: [
            item.get_db_prep_save(
                storable(getattr(record, item.name), item.max_length), connection=connection
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


@dataclass(slots=True)
class Run:
    """What a worker adds to the record of a task; None keeps what is stored."""

    task_id: str
    task_name: str
    #: How many runs have started.
    starts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


def add_runs(connection: BaseDatabaseWrapper, runs: Sequence[Run]) -> None:
    """Add runs to the records of their tasks, which need not be there yet.

    The publisher on an external broker writes its record when its transaction commits, perhaps after this.
    """
    table = Table(connection, TaskRecord)
    limit = limit_of(TaskRecord, "task_name")
    time = connection.ops.adapt_datetimefield_value
    rows = []
    for run in runs:
        started, finished = (None if at is None else time(at) for at in (run.started_at, run.finished_at))
        name = storable(run.task_name, limit)
        first = finished if started is None else started
        rows.append((run.task_id, [run.task_id, name, "", "", first, started, finished, run.starts]))
    columns = ("started_at", "finished_at")
    updates = {name: f"COALESCE({table.new(name)}, {table.stored(name)})" for name in columns}
    updates["attempts"] = f"{table.stored('attempts')} + {table.new('attempts')}"
    table.insert(
        ("task_id", "task_name", "queue", "message", "published_at", *columns, "attempts"),
        rows,
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
