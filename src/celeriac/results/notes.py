"""What a journal's frame says: a state to store, a run that began, a message that is done."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from celery import states
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.results import records, upsert
from celeriac.results.upsert import OF_TASK, STARTED_AT, STATUS, TASK_ID, StateRow, Write

logger = logging.getLogger(__name__)

#: Of a row of a state.
_LENGTH = upsert.OF_STATE.stop
#: Begins the frame of a run that began, before the task's id and the end of the line.
_BEGAN = b"S"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Note:
    """One frame: a state, or only that the message with this tag is done."""

    row: StateRow | None = None
    #: The name for the task's record, which also has tasks whose names are not stored with results.
    name: str = ""
    #: The delivery tag of a message that needs no other run, whatever happens to the worker from here on.
    done: str | None = None
    #: How many runs have begun, of which nothing else is told.
    starts: int = 0

    @classmethod
    def of(cls, write: Write, name: str = "", done: str | None = None) -> "Note":
        """The note of a state."""
        row = [each.isoformat() if isinstance(each, datetime) else each for each in upsert.row_of(write)]
        return cls(row, name, done, int(write.status == states.STARTED))

    @property
    def is_end(self) -> bool:
        """Whether more than the beginning of a run is noted."""
        return self.row is None or self.row[STATUS] != states.STARTED

    def encoded(self) -> bytes:
        """The frame's bytes."""
        text = _encode((self.done, self.name, self.row))
        if not self.is_end and self.row is not None and "\n" not in self.row[TASK_ID]:
            text = f"S{self.row[TASK_ID]}\n{text}"
        return text.encode("utf-8", "surrogatepass")


def decoded(frame: bytes) -> Note:
    """The note in a frame; raises ValueError or TypeError for one that is none."""
    text = frame[frame.index(b"\n") + 1 :] if frame.startswith(_BEGAN) else frame
    done, name, row = json.loads(text)
    if row is None:
        return Note(done=done)
    if len(row) != _LENGTH:
        raise ValueError("A state has another number of values.")
    return Note(row, name, done, int(row[STATUS] == states.STARTED))


def readable(frames: Sequence[bytes]) -> list[Note]:
    """The notes in frames, with one for the beginning and the end of a run where the end tells all.

    One that cannot be read is told in the log and left out.
    """
    found: list[Note] = []
    ends: dict[bytes, Note] = {}
    for frame in reversed(frames):
        if frame.startswith(_BEGAN) and (end := ends.get(frame[1 : frame.find(b"\n")])):
            end.starts += 1
            continue
        try:
            note = decoded(frame)
        except (ValueError, TypeError):
            logger.exception("A note in a worker's journal cannot be read.")
            continue
        found.append(note)
        if (row := note.row) is not None and row[STARTED_AT] is not None and note.is_end:
            ends[row[TASK_ID].encode("utf-8", "surrogatepass")] = note
    found.reverse()
    return found


@dataclass(slots=True)
class Gathered:
    """Many notes as the database is to be told: once for each task."""

    rows: list[StateRow]
    runs: list[records.Run]


def gathered(notes: Iterable[Note]) -> Gathered:
    """Fold the states of each task into its last one, and what its record gets into one run."""
    rows: dict[str, StateRow] = {}
    runs: dict[str, records.Run] = {}
    for note in notes:
        row = note.row
        if row is None:
            continue
        task_id = row[TASK_ID]
        before = rows.get(task_id)
        if before is None:
            rows[task_id] = row
            run = runs[task_id] = records.Run(task_id, note.name)
        else:
            rows[task_id] = _folded(before, row)
            run = runs[task_id]
        run.starts += note.starts
        run.started_at = row[STARTED_AT] or run.started_at
        if row[STATUS] != states.STARTED:
            run.finished_at = row[upsert.AT]
    return Gathered(list(rows.values()), list(runs.values()))


def _folded(before: StateRow, row: StateRow) -> StateRow:
    """The last of two states of a task, with what only the other one knew."""
    is_later = upsert.may_follow(before[STATUS], row[STATUS])
    last, other = (row.copy(), before) if is_later else (before.copy(), row)
    last[OF_TASK] = [
        known if value is None else value for value, known in zip(last[OF_TASK], other[OF_TASK], strict=True)
    ]
    last[STARTED_AT] = row[STARTED_AT] or before[STARTED_AT]
    return last


def store(connection: BaseDatabaseWrapper, notes: Iterable[Note]) -> None:
    """Write the states and the runs, in the caller's transaction."""
    found = gathered(notes)
    if found.rows:
        upsert.write_rows(connection, found.rows)
        records.add_runs(connection, found.runs)
