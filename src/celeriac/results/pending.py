"""The rows of a task from the moment of its publish: TaskResult in PENDING, and TaskRecord.

On the database that carries both message and results, the rows belong to the caller's transaction like
the message itself. On any other broker the message may reach a worker before the caller commits, and an
uncommitted unique key would make that worker wait: there the rows are written after the commit.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.database import failures, threads
from celeriac.database.inserting import Row, insert_all
from celeriac.models import TaskRecord
from celeriac.results import publishing
from celeriac.results.retry import until_stored
from celeriac.results.rows import RowFormat

logger = logging.getLogger(__name__)

#: The caller waits, and its message is out already: give up within half a second.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Published:
    """A task that was sent. The reprs are those of the message's own headers."""

    task_id: str
    name: str
    args_repr: str | None
    kwargs_repr: str | None
    queue: str
    #: JSON of the exact message.
    message: str
    priority: int | None = None
    eta: datetime | None = None
    expires: datetime | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    ignore_result: bool = False


Sends = Sequence[tuple[Any, Published]]


def results_alias() -> str:
    """The database of TaskResult; TaskRecord, Chord and ChordPart are written there too."""
    return router.db_for_write(TaskResult)


def record_publish(backend: Any, broker_alias: str | None, published: Published) -> None:
    """Write the rows of one published task; see `record_all`."""
    record_all(broker_alias, [(backend, published)])


def record_all(broker_alias: str | None, sent: Sends) -> None:
    """Write the rows of published tasks; the one in PENDING where its `backend` is ours.

    `broker_alias` is the database that carries the messages, None for a broker that is no database.
    Raises the database's error where the rows belong to the messages' transaction. Elsewhere the messages
    are out already: a failure is logged, and the worker's first write makes the rows.
    """
    alias = results_alias()
    if broker_alias == alias:
        _write(alias, sent)
        return
    after_commit = partial(_on_commit, alias, partial(_write_or_log, alias, sent))
    if broker_alias is None:
        after_commit()
    else:
        _on_commit(broker_alias, after_commit)


def _on_commit(alias: str, then: Callable[[], None]) -> None:
    if connections[alias].in_atomic_block:
        transaction.on_commit(then, using=alias, robust=True)
    else:
        then()


def _write_or_log(alias: str, sent: Sends) -> None:
    """Never raises: whoever called `delay()` would send the message a second time."""
    try:
        until_stored(alias, partial(_write, alias, sent), tries=_TRIES, is_vital=False)
    except SynchronousOnlyOperation:
        # As long as `delay()` itself holds up the loop; and what it returns has its rows.
        threads.run(partial(_write_or_log, alias, sent))
    except Exception as error:
        is_missing = failures.is_missing_table(error)
        logger.error(
            "%s was published, but its row PENDING could not be written to database %r: "
            "its history begins when a worker stores its first state.%s",
            ", ".join(f"Task {each.name}[{each.task_id}]" for _, each in sent[:10]),
            alias,
            f" {failures.tables_missing(alias)}" if is_missing else "",
            exc_info=not is_missing,
        )


def _write(alias: str, sent: Sends) -> None:
    connection = connections[alias]
    rows = rows_of(connection, sent)
    largest = max(len(published.message) for _, published in sent)
    # No savepoint: who publishes has one around the message and these rows.
    with transaction.atomic(using=alias, savepoint=False):
        insert_all(connection, publishing.inserts(connection, *rows), row_bytes=2 * largest)


def rows_of(connection: BaseDatabaseWrapper, sent: Sends) -> tuple[list[Row], list[Row]]:
    """The rows in PENDING and the records, as `publishing.inserts` wants them."""
    # Where results go to another backend, nobody would ever move the row on.
    pending = [
        publishing.pending_row(connection, backend.pending_of(published))
        for backend, published in sent
        if not published.ignore_result and isinstance(backend, RowFormat)
    ]
    return pending, [publishing.record_row(connection, record_of(published)) for _, published in sent]


def record_of(published: Published) -> TaskRecord:
    """What the publisher knows, as the row that stays."""
    return TaskRecord(
        task_id=published.task_id,
        task_name=published.name,
        queue=published.queue,
        priority=published.priority,
        eta=_as_stored(published.eta),
        expires=_as_stored(published.expires),
        parent_id=published.parent_id,
        root_id=published.root_id,
        group_id=published.group_id,
        published_at=timezone.now(),
        message=published.message,
    )


def _as_stored(time: datetime | None) -> datetime | None:
    """The time as USE_TZ wants it; one without a zone is UTC, as in Celery's messages."""
    if time is None:
        return None
    aware = time.replace(tzinfo=UTC) if timezone.is_naive(time) else time
    return aware if settings.USE_TZ else timezone.make_naive(aware)
