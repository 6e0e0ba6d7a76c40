"""The SQL of what the runs of a task add to its TaskRecord."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.models import TaskRecord
from celeriac.results.tables import insert, limit_of, storable, table_of, time_of


@dataclass(slots=True)
class Run:
    """What a worker adds to the record of a task; None keeps what is stored."""

    task_id: str
    task_name: str
    #: How many runs have started.
    starts: int = 0
    #: Or in ISO format.
    started_at: datetime | str | None = None
    finished_at: datetime | str | None = None


def add_runs(connection: BaseDatabaseWrapper, runs: Sequence[Run]) -> None:
    """Add runs to the records of their tasks, which need not be there yet.

    The publisher on an external broker writes its record when its transaction commits, perhaps after this.
    """
    table = table_of(connection, TaskRecord)
    limit = limit_of(TaskRecord, "task_name")
    time = time_of(connection)
    rows = []
    for run in runs:
        started, finished = (None if at is None else time(at) for at in (run.started_at, run.finished_at))
        name = storable(run.task_name, limit)
        first = finished if started is None else started
        rows.append((run.task_id, [run.task_id, name, "", "", first, started, finished, run.starts]))
    columns = ("started_at", "finished_at")
    updates = {name: f"COALESCE({table.new(name)}, {table.stored(name)})" for name in columns}
    updates["attempts"] = f"{table.stored('attempts')} + {table.new('attempts')}"
    names = ("task_id", "task_name", "queue", "message", "published_at", *columns, "attempts")
    insert(connection, table.target(names, table.or_update(updates, "1 = 1")), rows)


def finish(connection: BaseDatabaseWrapper, task_id: str, at: datetime) -> None:
    """Write the end of a task into its record, if there is one."""
    column = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {column(TaskRecord._meta.db_table)} SET {column('finished_at')} = %s"
            f" WHERE {column('task_id')} = %s",
            [connection.ops.adapt_datetimefield_value(at), task_id],
        )
