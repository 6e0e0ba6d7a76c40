"""Where the processes of a worker leave what their tasks came to, for its flusher to store.

The process that runs a task notes the state in its journal, rings, and goes on with the next task. The
main process's flusher (worker/flusher) stores the notes of many tasks in one transaction, with their acks.
Without a journal, as on a host that has no place for it, the process itself stores everything at once.
"""

import errno
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

from celeriac.database.complaints import Complaints
from celeriac.results.journal import Journal
from celeriac.results.notes import Note

logger = logging.getLogger(__name__)

#: The stem of the journals, in the environment: a spawned child of the pool inherits nothing else.
_VARIABLE = "CELERIAC_JOURNAL"
#: What is longer is stored directly: a statement that carries many of those would be too long.
MOST_BYTES = 128 * 1024
#: Rung by a task that has begun, which may wait a moment for its end, and by one that has ended.
BEGAN, ENDED = b"b", b"e"

_complaints = Complaints(logger)
_stem: str | None = os.environ.get(_VARIABLE)
_journal: Journal | None = None
_bell = -1
_process = 0
_opening = threading.Lock()


def begin(stem: Path) -> int:
    """From now on take notes beside this stem; the bell to listen to. Raises OSError."""
    global _stem
    bell = _bell_of(stem)
    with suppress(FileNotFoundError):
        bell.unlink()
    os.mkfifo(bell, mode=0o660)
    # Open for writing too: a pipe without a writer would be readable (end of file) for ever.
    fd = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.environ[_VARIABLE] = _stem = str(stem)
    return fd


def end(stem: Path) -> None:
    """Take no more notes; may be called twice."""
    global _process, _stem
    if _stem == str(stem):
        _stem = None
        os.environ.pop(_VARIABLE, None)
    _forget()
    _process = 0
    with suppress(OSError):
        _bell_of(stem).unlink()


def is_open() -> bool:
    """Whether notes are taken in this process."""
    return _stem is not None


def take(note: Note) -> bool:
    """Note it and ring; False: it must be stored by other means."""
    stem = _stem
    if stem is None:
        return False
    frame = note.encoded()
    if len(frame) > MOST_BYTES:
        return False
    try:
        journal = _opened(stem)
        journal.append(frame)
    except OSError as error:
        _complaints.say(
            logging.WARNING, "Results are stored without the worker's journal, which takes no note: %s", error
        )
        return False
    if journal.must_tell(2 if note.is_end else 1):
        ring(ENDED if note.is_end else BEGAN)
    return True


def ring(sound: bytes) -> None:
    """Wake the flusher, from any process of the worker."""
    try:
        os.write(_bell, sound)
    except OSError:
        pass  # Full, which wakes as well; or the main process is gone, and whoever comes after it will read.


def _opened(stem: str) -> Journal:
    """The journal of this process; a forked child begins its own."""
    global _journal, _bell, _process
    journal = _journal
    if journal is not None and _process == os.getpid():
        return journal
    with _opening:
        if _journal is None or _process != os.getpid():
            _forget()
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                _bell = os.open(_bell_of(Path(stem)), flags)
            except OSError as error:
                if error.errno not in {errno.ENXIO, errno.ENOENT}:
                    raise
            _journal, _process = Journal(Path(stem)), os.getpid()
        return _journal


def _forget() -> None:
    """Close what this process, or the one that it was forked from, has open."""
    global _journal, _bell
    if _journal is not None:
        _journal.close()
    if _bell >= 0:
        os.close(_bell)
    _journal, _bell = None, -1


def _bell_of(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.ring")


def _anew_in_child() -> None:
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew_in_child)
