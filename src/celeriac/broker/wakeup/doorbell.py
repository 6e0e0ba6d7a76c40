"""The doorbell of a queue on one host: a named pipe that its idle consumers share; a byte wakes one of them.

The pipe is open as long as a consumer has room. Whoever rings therefore learns whether anybody is there, and
a byte that nobody took goes with the last of them. A bell only saves waiting: no error of the file
system leaves this file.
"""

import errno
import hashlib
import os
import stat
import time
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from celeriac.broker import runtime

_SUFFIX = ".bell"
#: A pipe that nobody has used for so long was left by a queue that is gone.
_ABANDONED_AFTER_SECONDS = 3600.0
#: As often as a pipe may be swept away between its making and its opening.
_TRIES = 3

_open: "weakref.WeakSet[Doorbell]" = weakref.WeakSet()


class Doorbell:
    """An idle consumer's ear at the bell of a queue; its owner calls close(). Made by listen_at()."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Open for writing too: a pipe without a writer would be readable (end of file) for ever.
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            self.fd = os.open(path, flags)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkfifo(path, mode=0o660)
            self.fd = os.open(path, flags)
        if not stat.S_ISFIFO(os.fstat(self.fd).st_mode):
            self.close()
            raise FileExistsError(path)
        _open.add(self)

    def answer(self, *, all_rings: bool = False) -> bool:
        """Take one ring, or all; False: another consumer was sooner."""
        try:
            return bool(os.read(self.fd, 65536 if all_rings else 1))
        except OSError:
            return False

    def is_gone(self) -> bool:
        """Whether the pipe has lost its name: nobody can ring it any more."""
        try:
            return os.fstat(self.fd).st_nlink == 0
        except OSError:
            return True

    def close(self) -> None:
        """Hear no more; may be called twice."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with suppress(OSError):
                os.close(fd)

    def remove(self) -> None:
        """Close, and take the pipe away: its queue goes with this consumer."""
        self.close()
        with suppress(OSError):
            self._path.unlink()


def listen_at(alias: str, queue: str) -> Doorbell | None:
    """An ear at the queue's bell; None where the host cannot have one."""
    directory = runtime.directory(alias)
    if directory is None:
        return None
    for _ in range(_TRIES):
        try:
            return Doorbell(directory / _name(queue))
        except FileNotFoundError:
            continue  # Swept away under our hands.
        except OSError:
            return None
    return None


def ring(alias: str, queue: str) -> bool:
    """Wake one idle consumer of the queue on this host; False: there is none."""
    directory = runtime.directory(alias)
    return directory is not None and _ring(f"{directory}/{_name(queue)}")


def ring_all(alias: str) -> None:
    """Wake an idle consumer of each queue on this host."""
    for bell in _bells(alias):
        _ring(bell)


def sweep(alias: str) -> None:
    """Remove the pipes of queues that are gone. An idle consumer that is hit finds out by is_gone()."""
    now = time.time()
    for bell in _bells(alias):
        with suppress(OSError):
            if now - os.lstat(bell).st_mtime > _ABANDONED_AFTER_SECONDS and _is_alone(bell):
                Path(bell).unlink()


def _bells(alias: str) -> list[str]:
    directory = runtime.directory(alias)
    if directory is None:
        return []
    try:
        return [entry.path for entry in os.scandir(directory) if entry.name.endswith(_SUFFIX)]
    except OSError:
        return []


@lru_cache
def _name(queue: str) -> str:
    # A queue's name may hold what no file's name may.
    return f"{hashlib.sha256(queue.encode()).hexdigest()[:32]}{_SUFFIX}"


def _ring(path: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False  # ENXIO: nobody has it open; ENOENT: nobody ever had.
    try:
        # Only ever into a pipe, whatever has the name of one; a full one wakes as well as one byte more.
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return False
        with suppress(OSError):
            os.write(fd, b"!")
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_alone(path: str) -> bool:
    """Whether nobody has the pipe open for reading."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError as error:
        return error.errno == errno.ENXIO
    return False


def _close_in_child() -> None:
    # A pool's child reads no bell, but its copy would pass for an idle consumer as long as it lives.
    for bell in list(_open):
        bell.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
