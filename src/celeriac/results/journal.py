"""The file in which a process of the pool notes what its tasks came to, until the database has it.

A segment is a file of fixed size that both sides have in memory. So a note takes no system call, and what is
noted survives `kill -9` of every process of the worker, which the buffer of a socket or the memory of another
process does not. It begins with how far the database has it; then come frames, each with its length and
checksum, and zeros. The length is written last: what was cut off by a kill is not there.
"""

import errno
import mmap
import os
import re
import struct
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct(">Q")
#: Behind the head: whether the reader was told of what it has not read, and how urgently.
_TOLD = _HEAD.size
_FIRST = 2 * _HEAD.size
_FRAME = struct.Struct(">II")
_NAME = re.compile(r"(?P<stem>.+)\.(?P<process>\d+)\.(?P<number>\d+)\.journal")

#: A full segment is followed by the next one, and deleted when the database has all of it.
SEGMENT_BYTES = 256 * 1024
#: Read at once, so that memory stays bounded however much was noted while the database was away.
MOST_BYTES = 1 << 20
_SWEEP_SECONDS = 5.0


class Journal:
    """The appending side of one process; safe in every thread."""

    def __init__(self, stem: Path) -> None:
        self._prefix = f"{stem}.{os.getpid()}"
        self._lock = threading.Lock()
        self._number = 0
        self._memory: mmap.mmap | None = None
        self._end = 0

    def append(self, frame: bytes) -> None:
        """Note a frame; raises OSError when that is impossible, as on a full disk: then it is not there."""
        length = _FRAME.size + len(frame)
        with self._lock:
            # The zeros of another head stand behind the last frame.
            if self._memory is None or self._end + length + _FRAME.size > len(self._memory):
                self._begin_segment(length)
            assert self._memory is not None
            begin = self._end + _FRAME.size
            self._memory[begin : begin + len(frame)] = frame
            _FRAME.pack_into(self._memory, self._end, len(frame), zlib.crc32(frame))
            self._end += length

    def must_tell(self, urgency: int) -> bool:
        """Whether the reader does not know yet that something so urgent is to be read."""
        memory = self._memory
        if memory is None or memory[_TOLD] >= urgency:
            return False
        memory[_TOLD] = urgency
        return True

    def close(self) -> None:
        """The next frame begins a segment; may be called twice."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _begin_segment(self, length: int) -> None:
        self.close()
        self._number += 1
        size = max(SEGMENT_BYTES, _FIRST + length + _FRAME.size)
        path = f"{self._prefix}.{self._number}.journal"
        # Made and filled under another name: a reader never finds less than a whole segment. A link with the
        # right name is replaced and not followed.
        unready = f"{path}.new"
        fd = _open_new(unready)
        try:
            # All of its room now: a disk that is full later would end the process by a signal.
            if os.write(fd, bytes(size)) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self._memory = mmap.mmap(fd, size)
            _HEAD.pack_into(self._memory, 0, _FIRST)
            Path(unready).rename(path)
        except BaseException:
            self.close()
            Path(unready).unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        self._end = _FIRST


@dataclass(slots=True)
class _Segment:
    """What the reader knows of a segment."""

    path: Path
    process: int
    number: int
    memory: mmap.mmap
    #: How far it is read, and how far the database has it.
    read: int
    confirmed: int


class Reader:
    """The reading side of all journals of one worker; its owner calls close(). For one thread."""

    def __init__(self, stem: Path, *, is_gone: Callable[[int], bool]) -> None:
        self._stem = stem
        #: Whether no process has the number any more.
        self._is_gone = is_gone
        self._swept_at = time.monotonic()
        self._segments: dict[Path, _Segment] = {}
        #: Whether the last reading left nothing that had been noted before it.
        self.is_at_end = True

    def read(self) -> list[bytes]:
        """The next frames in each process's order, about MOST_BYTES at most; raises OSError.

        Whoever notes something from here on tells of it.
        """
        self._find()
        for segment in self._segments.values():
            segment.memory[_TOLD] = 0
        frames: list[bytes] = []
        left = MOST_BYTES
        for segment in self._in_order():
            while left > 0 and (frame := _frame(segment)) is not None:
                segment.read += _FRAME.size + len(frame)
                left -= _FRAME.size + len(frame)
                frames.append(frame)
        self.is_at_end = left > 0
        return frames

    def processes(self) -> set[int]:
        """Those whose segments were found."""
        return {segment.process for segment in self._segments.values()}

    def confirm(self) -> None:
        """The database has everything that was read: forget it, also for whoever reads after a kill."""
        newest = {segment.process: segment.path for segment in self._in_order()}
        for segment in self._in_order():
            if segment.confirmed != segment.read:
                _HEAD.pack_into(segment.memory, 0, segment.read)
                segment.confirmed = segment.read
            if newest[segment.process] != segment.path and _frame(segment) is None:
                self._remove(segment)
        if time.monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            self.sweep()

    def sweep(self) -> None:
        """Delete what is stored and of a process that has ended: a pool may replace its processes often."""
        for segment in self._in_order():
            # In this order: what it noted last was before its end.
            is_left = self._is_gone(segment.process) and _frame(segment) is None
            if is_left and segment.confirmed == segment.read:
                self._remove(segment)

    def remove(self) -> None:
        """Delete every segment of which the database has all; for when their processes are gone."""
        for segment in self._in_order():
            if segment.confirmed == segment.read and _frame(segment) is None:
                self._remove(segment)
        for path in self._stem.parent.iterdir():
            # Its process was killed while it made it.
            if path.name.startswith(f"{self._stem.name}.") and path.name.endswith(".journal.new"):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files; may be called twice."""
        for segment in self._segments.values():
            segment.memory.close()
        self._segments = {}

    def _find(self) -> None:
        for path in segments(self._stem):
            if path not in self._segments and (match := _NAME.fullmatch(path.name)):
                try:
                    memory = _mapped(path)
                except FileNotFoundError:
                    continue  # Another reader was quicker.
                (begin,) = _HEAD.unpack_from(memory)
                begin = min(max(_FIRST, begin), len(memory))
                self._segments[path] = _Segment(
                    path, int(match["process"]), int(match["number"]), memory, begin, begin
                )

    def _in_order(self) -> list[_Segment]:
        return sorted(self._segments.values(), key=lambda segment: (segment.process, segment.number))

    def _remove(self, segment: _Segment) -> None:
        segment.memory.close()
        del self._segments[segment.path]
        segment.path.unlink(missing_ok=True)


def segments(stem: Path) -> list[Path]:
    """The segments of the worker with this stem."""
    begin = f"{stem.name}."
    with os.scandir(stem.parent) as found:
        return [
            Path(entry.path)
            for entry in found
            if entry.name.startswith(begin)
            and (match := _NAME.fullmatch(entry.name))
            and match["stem"] == stem.name
        ]


def _frame(segment: _Segment) -> bytes | None:
    """The next frame; None where none is whole."""
    memory, at = segment.memory, segment.read
    begin = at + _FRAME.size
    if begin > len(memory):
        return None
    length, checksum = _FRAME.unpack_from(memory, at)
    if not length or begin + length > len(memory):
        return None
    frame = memory[begin : begin + length]
    # Another processor may see the length before the frame.
    return frame if zlib.crc32(frame) == checksum else None


def _mapped(path: Path) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        if size < _FIRST:
            raise OSError(f"{path} is no journal.")
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)


def _open_new(path: str) -> int:
    # Never through a link, and never one that is there already.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
