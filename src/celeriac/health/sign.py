"""The worker's sign of life: a file that its loop touches, with a lock that goes with the process."""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from celeriac.broker import runtime
from celeriac.conf import options
from celeriac.health import place

logger = logging.getLogger(__name__)

_DRAFT = ".draft"
#: A file is younger than this before its lock is taken.
_TOO_YOUNG_SECONDS = 60.0

_own: "Sign | None" = None


class Sign:
    """Made by `begin`, ended by `end`."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._state = ""
        self._touched_at = 0.0

    def touch(self) -> None:
        """The loop turns; cheap, and at most once a second a file is touched."""
        now = time.monotonic()
        if now - self._touched_at < 1.0:
            return
        self._touched_at = now
        # A disk that is full or gone is no reason for a worker to end.
        with suppress(OSError):
            os.utime(self._path)

    def say(self, state: str) -> None:
        """What the worker does from now on; one that stops goes on stopping."""
        if self._state not in {state, place.STOPPING}:
            self._state = state
            with suppress(OSError):
                os.pwrite(self._fd, state.ljust(place.STATE_LENGTH).encode(), 0)

    def remove(self) -> None:
        """The worker ends."""
        with suppress(OSError):
            self._path.unlink()
        self.forget()

    def forget(self) -> None:
        """Close this process's handle: in a child of a fork the lock is the parent's."""
        with suppress(OSError):
            os.close(self._fd)


def begin(node: str) -> None:
    """Leave a sign from now on; without a place for it the probe finds no worker."""
    global _own
    end()
    # Windows has neither these locks nor a user's own place.
    configured = options().runtime_directory
    found = place.directory(configured) if hasattr(os, "mkfifo") else None
    if found is None:
        return
    directory = Path(found)
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        fault = runtime.fault_of(directory, Path(configured) if configured else None)
        if fault is not None:
            raise OSError(f"{directory} {fault}")
        _sweep(directory)
        _own = _made(directory, node)
    except OSError as error:
        logger.warning("The health probe will not find this worker: %s", error)


def touch() -> None:
    """The loop turns."""
    if _own is not None:
        _own.touch()


def say(state: str) -> None:
    """What the worker does from now on, in a word of `place`; its loop turns at this moment."""
    if _own is not None:
        _own.say(state)
        _own.touch()


def end() -> None:
    """The worker ends; may be called twice."""
    global _own
    if _own is not None:
        _own.remove()
        _own = None


def _made(directory: Path, node: str) -> Sign:
    name = f"{os.getpid()}-{time.time_ns()}"
    # Under another name until it is whole and locked.
    draft = directory / f"{name}{_DRAFT}"
    fd = runtime.try_lock(draft)
    assert fd is not None  # Nobody else knows its name.
    text = f"{place.CONNECTING.ljust(place.STATE_LENGTH)}\n{node}\n{os.getpid()}\n"
    os.write(fd, text.encode())
    path = draft.with_suffix(place.SUFFIX)
    draft.rename(path)
    return Sign(path, fd)


def _sweep(directory: Path) -> None:
    """Remove what workers left that were killed."""
    for path in directory.iterdir():
        if path.suffix not in {place.SUFFIX, _DRAFT}:
            continue
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < _TOO_YOUNG_SECONDS:
                continue
            fd = runtime.try_lock(path)
            if fd is not None:
                path.unlink()
                os.close(fd)


def _after_fork_in_child() -> None:
    global _own
    if _own is not None:
        _own.forget()
        _own = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
