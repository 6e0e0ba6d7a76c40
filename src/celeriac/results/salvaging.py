"""Notes of which the database refuses one: the others are stored, and that one ends as FAILURE."""

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from celery import states
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database.failures import first_line, is_passing
from celeriac.database.session import Session
from celeriac.models import Outcome
from celeriac.results import attempts, failing, notes, upsert
from celeriac.results.attempts import Ended
from celeriac.results.notes import Note

logger = logging.getLogger(__name__)


def store_each(session: Session, found: Iterable[Note]) -> None:
    """Store each in a transaction of its own; raises only the errors that another try may cure."""
    for note in found:
        store_one(session, note)


def store_one(session: Session, note: Note) -> None:
    """Store it, or the FAILURE of its task; raises only an error that another try may cure."""
    try:
        _store(session, note)
    except Exception as error:
        if note.row is None or (isinstance(error, Error) and is_passing(error)):
            raise
        logger.exception(
            "The result of task %s cannot be stored: %s", note.row[upsert.TASK_ID], first_line(error)
        )
        _fail(session, note, error)


def _fail(session: Session, note: Note, error: Exception) -> None:
    assert note.row is not None
    told = {
        "exc_type": type(error).__name__,
        "exc_message": [first_line(error)],
        "exc_module": type(error).__module__,
    }
    content = ("application/json", "utf-8", json.dumps(told))
    row = upsert.end_of(note.row, states.FAILURE, content, None)
    attempt = _attempt_of(note, error)
    try:
        _store(session, replace(note, row=row), attempt)
    except Exception as second:
        if isinstance(second, Error) and is_passing(second):
            raise
        logger.exception("Nor can its FAILURE.")


def _attempt_of(note: Note, error: Exception) -> Ended | None:
    row = note.row
    if row is None or not note.is_end:
        return None
    began = row[upsert.STARTED_AT]
    attempt = Ended(
        row[upsert.TASK_ID],
        note.name,
        Outcome.FAILURE,
        worker=row[upsert.OF_TASK][upsert.KEPT.index("worker")] or "",
        exception=failing.class_name(type(error)),
        message=first_line(error),
        started_at=None if began is None else datetime.fromisoformat(began),
    )
    return attempt if note.done is None else replace(attempt, run_key=note.done)


def _store(session: Session, note: Note, attempt: Ended | None = None) -> None:
    def work(connection: BaseDatabaseWrapper) -> None:
        if attempt is not None:
            attempts.write(connection, [attempt])
        notes.store(connection, [note])

    session.run(work, patience_seconds=0)
