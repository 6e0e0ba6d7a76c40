"""The SQL of attempts: a row for each run of a task that did not succeed, written with its state.

A run is written once, however often its transaction is tried. Of a task that is run again and again the
latest rows are kept.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.database import charset
from celeriac.models import Attempt, Outcome, TaskRecord
from celeriac.results.fingerprints import fingerprint
from celeriac.results.tables import limit_of, storable

#: So many rows of one task at the most: a task may ask for another run for ever.
MOST_OF_A_TASK = 100
_MOST_MESSAGE = 2000
#: A traceback of endless recursion has megabytes: its beginning and its end say what there is to say.
_HEAD, _TAIL = 4000, 12000

_RESULTS = TaskResult._meta.db_table
_LIMITS = {name: limit_of(Attempt, name) for name in ("task_id", "task_name", "worker", "exception")}
_COLUMNS = (
    "run_key",
    "task_id",
    "task_name",
    "worker",
    "ended_at",
    "outcome",
    "exception",
    "message",
    "traceback",
    "fingerprint",
)


@dataclass(slots=True)
class Ended:
    """How a run ended that did not succeed."""

    task_id: str
    task_name: str
    outcome: Outcome
    worker: str = ""
    exception: str = ""
    message: str = ""
    traceback: str = ""
    #: None: as the record of the task has it.
    started_at: datetime | None = None
    ended_at: datetime = field(default_factory=timezone.now)
    run_key: str = field(default_factory=lambda: secrets.token_hex(16))
    #: Whether there was no run that could have begun.
    never_began: bool = False


def write(connection: BaseDatabaseWrapper, attempts: Iterable[Ended]) -> None:
    """Add the attempts to those of their tasks, in the caller's transaction; the same one once."""
    statement = _insert(connection)
    for each in attempts:
        with connection.cursor() as cursor:
            charset.execute(cursor, statement, _values(connection, each))
            # Index: celeriac_attempt_task. It finds nothing but for a task that was run very often.
            cursor.execute(_trim(connection), [each.task_id, each.task_id])


def states_of(connection: BaseDatabaseWrapper, task_ids: Sequence[str]) -> dict[str, str]:
    """The states of those tasks that have one. Index: the unique one of task_id."""
    marks = ", ".join(["%s"] * len(task_ids))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT task_id, status FROM {_RESULTS} WHERE task_id IN ({marks})", list(task_ids))
        return dict(cursor.fetchall())


def _values(connection: BaseDatabaseWrapper, each: Ended) -> list[Any]:
    message, traceback = each.message[:_MOST_MESSAGE], _cut(each.traceback)
    time = connection.ops.adapt_datetimefield_value
    values = {
        "run_key": each.run_key,
        "task_id": each.task_id,
        "task_name": each.task_name,
        "worker": each.worker,
        "ended_at": time(each.ended_at),
        "outcome": str(each.outcome),
        "exception": each.exception,
        "message": message,
        "traceback": traceback,
        "fingerprint": fingerprint(each.task_name, each.exception, message, traceback),
    }
    stored = [storable(values[name], _LIMITS.get(name)) for name in _COLUMNS]
    began = None if each.started_at is None else time(each.started_at)
    # Without a beginning in the record, or with one that is not this run's, there is none.
    known_as = "" if each.never_began else each.task_id
    return [*stored, began, known_as, each.task_id]


def _cut(text: str) -> str:
    if len(text) <= _HEAD + _TAIL:
        return text
    left_out = len(text) - _HEAD - _TAIL
    return f"{text[:_HEAD]}\n… {left_out:,} characters are left out …\n{text[-_TAIL:]}"


def _insert(connection: BaseDatabaseWrapper) -> str:
    """Index: celeriac_attempt_task, for the number; locks nothing but the new row."""
    name = connection.ops.quote_name
    columns = ", ".join(name(each) for each in (*_COLUMNS, "started_at", "number"))
    table = name(Attempt._meta.db_table)
    if connection.features.supports_update_conflicts_with_target:
        or_keep = f"ON CONFLICT ({name('run_key')}) DO NOTHING"
    else:
        or_keep = f"ON DUPLICATE KEY UPDATE {name('run_key')} = {table}.{name('run_key')}"
    # MySQL reads no table that it writes, but for one that was made of it.
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(_COLUMNS))},"
        f" COALESCE(%s, (SELECT started_at FROM {name(TaskRecord._meta.db_table)} WHERE task_id = %s)),"
        f" (SELECT following FROM (SELECT COALESCE(MAX({name('number')}), 0) + 1 AS following"
        f" FROM {table} WHERE task_id = %s) AS numbered)) {or_keep}"
    )


def _trim(connection: BaseDatabaseWrapper) -> str:
    name = connection.ops.quote_name
    table, number = name(Attempt._meta.db_table), name("number")
    return (
        f"DELETE FROM {table} WHERE task_id = %s AND {number} <= (SELECT oldest FROM"
        f" (SELECT MAX({number}) - {MOST_OF_A_TASK} AS oldest FROM {table} WHERE task_id = %s) AS kept)"
    )
