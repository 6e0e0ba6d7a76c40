"""The SQL of what a worker has begun and nobody has ended, by the states that are stored.

Read by the index of `status`: the index of `worker` may have every row of the table for one node, while few
tasks run at once. Which states the project's tasks invent is asked of that index, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from celery import states
from django.db.backends.base.base import BaseDatabaseWrapper
from django_celery_results.models import TaskResult

from celeriac.models import TaskRecord

_RESULTS, _RECORDS = TaskResult._meta.db_table, TaskRecord._meta.db_table
#: A task in these does not run.
_NOT_RUNNING = states.READY_STATES | {states.PENDING, states.RECEIVED, states.RETRY}
#: Who writes a percentage into the state has a hundred of them.
_MOST_STATES = 200
#: Ids in one statement.
_STEP = 500


@dataclass(frozen=True, slots=True)
class Left:
    """A task that ran when its worker died."""

    task_id: str
    name: str
    #: As its record has it; empty: it is not kept.
    message: str


def find(
    connection: BaseDatabaseWrapper, node: str, since: datetime, *, is_locking: bool = False
) -> list[Left]:
    """The tasks that a worker has begun since then, by its own clock, and that run by their states.

    Not one that ended without a state, as by Ignore: its record says so. `is_locking`: until the end of the
    caller's transaction nobody changes their states, which is of SQLite's one writer anyway.
    """
    running = [state for state in _states(connection) if state not in _NOT_RUNNING]
    found = dict(each for state in running for each in _in(connection, state, node, since, is_locking))
    records: dict[str, tuple[str, str, bool]] = {}
    ids = sorted(found)
    for start in range(0, len(ids), _STEP):
        records.update(_records(connection, ids[start : start + _STEP]))
    known = {task_id: records.get(task_id, (found[task_id], "", True)) for task_id in ids}
    return [
        Left(task_id, found[task_id] or name, message)
        for task_id, (name, message, is_open) in known.items()
        if is_open
    ]


def _states(connection: BaseDatabaseWrapper) -> list[str]:
    """The states that rows have. Index: that of status, one entry for each."""
    found: list[str] = []
    with connection.cursor() as cursor:
        while len(found) < _MOST_STATES:
            cursor.execute(
                f"SELECT MIN(status) FROM {_RESULTS} WHERE status > %s", [found[-1] if found else ""]
            )
            (state,) = cursor.fetchone()
            if state is None:
                break
            found.append(state)
    return found


def _in(
    connection: BaseDatabaseWrapper, state: str, node: str, since: datetime, is_locking: bool
) -> list[tuple[str, str]]:
    """Id and name. COALESCE keeps databases that know no figures from the indexes of the other columns."""
    lock = " FOR UPDATE" if is_locking and connection.features.has_select_for_update else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT task_id, task_name FROM {_RESULTS} WHERE status = %s AND COALESCE(worker, '') = %s"
            f" AND COALESCE(date_done, date_created) >= %s{lock}",
            [state, node, connection.ops.adapt_datetimefield_value(since)],
        )
        return [(task_id, name or "") for task_id, name in cursor.fetchall()]


def _records(connection: BaseDatabaseWrapper, task_ids: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    """Name, message, and whether its last run has not ended. Index: the unique one of task_id."""
    marks = ", ".join(["%s"] * len(task_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_id, task_name, message, finished_at IS NULL OR finished_at < started_at"
            f" FROM {_RECORDS} WHERE task_id IN ({marks})",
            list(task_ids),
        )
        return {row[0]: (row[1], row[2], bool(row[3])) for row in cursor.fetchall()}
