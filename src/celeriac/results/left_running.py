"""The SQL of what a worker has begun and nobody has ended, by the states that are stored.

Read by the index of `status`: the index of `worker` may have every row of the table for one node, while few
tasks run at once. Which states the project's tasks invent is asked of that index, too.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
#: Before each try to lock rows, in seconds.
_PAUSES = (0.0, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Left:
    """A task that ran when its worker died."""

    task_id: str
    name: str
    #: As its record has it; empty: it is not kept.
    message: str


def find(connection: BaseDatabaseWrapper, node: str, since: datetime) -> list[Left]:
    """The tasks that a worker has begun since then, by its own clock, and that run by their states.

    Not one that ended without a state, as by Ignore: its record says so. Waits for no lock.
    """
    states_of_rows = [state for state in _states(connection) if state not in _NOT_RUNNING]
    found = dict(each for state in states_of_rows for each in _in(connection, state, node, since))
    return _open(connection, found)


def lock(connection: BaseDatabaseWrapper, node: str, left: Sequence[Left]) -> list[Left]:
    """Those of these that still run in the worker by their states, which nobody changes from now on.

    Until the end of the caller's transaction; on SQLite it is the only writer anyway. Not one that somebody
    else is changing, and not soon has: a task's own transaction on a host that is gone may last for hours.
    """
    found = {each.task_id: each.name for each in left}
    if not connection.features.has_select_for_update_skip_locked:
        return _open(connection, found)
    locked: dict[str, str] = {}
    for pause in _PAUSES:
        time.sleep(pause)
        left_out = found.keys() - locked.keys()
        locked.update(_running_among(connection, node, left_out, " FOR UPDATE SKIP LOCKED"))
        # Who reads a small table as a whole to lock other rows has these for a moment, too.
        if not _running_among(connection, node, found.keys() - locked.keys(), ""):
            break
    return _open(connection, locked)


def _open(connection: BaseDatabaseWrapper, found: Mapping[str, str]) -> list[Left]:
    records: dict[str, tuple[str, str, bool]] = {}
    for ids in _in_steps(found):
        records.update(_records(connection, ids))
    known = {task_id: records.get(task_id, (name, "", True)) for task_id, name in sorted(found.items())}
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


def _in(connection: BaseDatabaseWrapper, state: str, node: str, since: datetime) -> Iterator[tuple[str, str]]:
    """Id and name. COALESCE keeps databases that know no figures from the indexes of the other columns."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT task_id, task_name, status, worker FROM {_RESULTS}"
            " WHERE status = %s AND COALESCE(worker, '') = %s AND COALESCE(date_done, date_created) >= %s",
            [state, node, connection.ops.adapt_datetimefield_value(since)],
        )
        yield from _running(cursor.fetchall(), node)


def _running_among(
    connection: BaseDatabaseWrapper, node: str, task_ids: Collection[str], suffix: str
) -> dict[str, str]:
    """Ids and names. Index: the unique one of task_id."""
    found: dict[str, str] = {}
    for ids in _in_steps(task_ids):
        marks = ", ".join(["%s"] * len(ids))
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT task_id, task_name, status, worker FROM {_RESULTS}"
                f" WHERE task_id IN ({marks}){suffix}",
                ids,
            )
            found.update(_running(cursor.fetchall(), node))
    return found


def _running(rows: Sequence[Sequence[Any]], node: str) -> Iterator[tuple[str, str]]:
    """MariaDB takes `w@h` for `W@h`, and a project's own `Success` for Celery's."""
    for task_id, name, state, worker in rows:
        if state not in _NOT_RUNNING and worker == node:
            yield task_id, name or ""


def _in_steps(task_ids: Collection[str]) -> Iterator[list[str]]:
    ids = sorted(task_ids)
    for start in range(0, len(ids), _STEP):
        yield ids[start : start + _STEP]


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
