"""What a journal's frame says: a state to store, a run that began, a message that is done."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from celery import states
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.results import records, upsert
from celeriac.results.upsert import Write

logger = logging.getLogger(__name__)

#: Fields of Write in the order of a frame; `at` comes before them.
_FIELDS = (
    "task_id",
    "status",
    "content_type",
    "content_encoding",
    "result",
    "traceback",
    "meta",
    "task_name",
    "task_args",
    "task_kwargs",
    "worker",
    "periodic_task_name",
)
_fields_of = attrgetter(*_FIELDS)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Note:
    """One frame: a state, or only that the message with this tag is done."""

    write: Write | None = None
    #: The name for the task's record, which also has tasks whose names are not stored with results.
    name: str = ""
    #: The delivery tag of a message that needs no other run, whatever happens to the worker from here on.
    done: str | None = None

    @property
    def is_end(self) -> bool:
        """Whether more than the beginning of a run is noted."""
        return self.write is None or self.write.status != states.STARTED

    def encoded(self) -> bytes:
        """The frame's bytes."""
        write = self.write
        state = None if write is None else (write.at.isoformat(), *_fields_of(write))
        return _encode([self.done, self.name, state]).encode("utf-8", "surrogatepass")


def decoded(frame: bytes) -> Note:
    """The note in a frame; raises ValueError or TypeError for one that is none."""
    done, name, state = json.loads(frame)
    if state is None:
        return Note(done=done)
    # Not by its constructor, which would look at each text once more.
    write = object.__new__(Write)
    write.at, write.started_at = datetime.fromisoformat(state[0]), None
    for field, value in zip(_FIELDS, state[1:], strict=True):
        setattr(write, field, value)
    return Note(write, name, done)


def readable(frames: Iterable[bytes]) -> list[Note]:
    """The notes in frames; one that cannot be read is told in the log and left out."""
    found = []
    for frame in frames:
        try:
            found.append(decoded(frame))
        except (ValueError, TypeError):
            logger.exception("A note in a worker's journal cannot be read.")
    return found


@dataclass(slots=True)
class Gathered:
    """Many notes as the database is to be told: once for each task."""

    writes: list[Write]
    runs: list[records.Run]


def gathered(notes: Iterable[Note]) -> Gathered:
    """Fold the states of each task into its last one, and what its record gets into one run."""
    writes: dict[str, Write] = {}
    runs: dict[str, records.Run] = {}
    for note in notes:
        if note.write is None:
            continue
        task_id = note.write.task_id
        writes[task_id] = _folded(writes.get(task_id), note.write)
        run = runs.setdefault(task_id, records.Run(task_id, note.name))
        if note.write.status == states.STARTED:
            run.starts += 1
            run.started_at = note.write.at
        else:
            run.finished_at = note.write.at
    return Gathered(list(writes.values()), list(runs.values()))


def _folded(before: Write | None, write: Write) -> Write:
    """The last of two states of a task, with what only the other one knew."""
    if before is None:
        return write
    last, other = (write, before) if upsert.may_follow(before.status, write.status) else (before, write)
    for name in upsert.KEPT:
        if getattr(last, name) is None:
            setattr(last, name, getattr(other, name))
    started = write if write.status == states.STARTED else before
    last.started_at = started.at if started.status == states.STARTED else before.started_at
    return last


def store(connection: BaseDatabaseWrapper, notes: Iterable[Note]) -> None:
    """Write the states and the runs, in the caller's transaction."""
    found = gathered(notes)
    if found.writes:
        upsert.write(connection, found.writes)
        records.add_runs(connection, found.runs)
