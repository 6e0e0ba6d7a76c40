"""A pipe by which another thread, or a signal's handler, wakes a worker's loop."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celeriac.broker.wakeup.ears import unwatch

_MOST_BYTES = 65536


class SelfPipe:
    """Between its making and `close`, the loop calls `woken` soon after each `wake`, once for several."""

    def __init__(self, loop: Any, woken: Callable[[], object]) -> None:
        self._loop, self._woken = loop, woken
        # Reentrant: a signal's handler may come while its thread wakes or closes.
        self._lock = threading.RLock()
        self._is_open = True
        self.reader, self._writer = os.pipe()
        for fd in (self.reader, self._writer):
            os.set_blocking(fd, False)
        loop.add_reader(self.reader, self.hear)

    def wake(self) -> None:
        """From any thread. Once closed it does nothing: its number may be another file's by then."""
        with self._lock:
            if self._is_open:
                with suppress(BlockingIOError):  # Full: there is a wake-up under way.
                    os.write(self._writer, b"!")

    def hear(self) -> None:
        """In the loop. What wakes from here on wakes anew."""
        with suppress(BlockingIOError):
            os.read(self.reader, _MOST_BYTES)
        self._woken()

    @property
    def is_watched(self) -> bool:
        """Whether the loop still looks at it: one that has ended, or that an error emptied, does not."""
        return self._is_open and self.reader in self._loop.readers

    def close(self) -> None:
        """Take it out of the loop. May be called twice."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            unwatch(self._loop, self.reader)
            os.close(self.reader)
            os.close(self._writer)
