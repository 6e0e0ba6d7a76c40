"""The thread of a worker's main process that stores what the event loop learns.

A worker lost, a task revoked, expired or unknown: Celery stores these states from its event loop, where a
database error would end the worker. They are handed over here instead, and stored in order, again and
again while the database is away. The thread owns its connection and closes it; the process that started
it stops it. A pool's children never see it: they are other processes.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery._state import get_current_worker_task
from django.db import Error, connections, transaction

from celeriac.database import forks
from celeriac.results import retry, tables, upsert
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

Operation = Callable[[], Any]

#: What may wait while the database is away. A mark is about a kilobyte.
MOST_WAITING = 10_000
#: How long a full queue holds up the event loop for something that must not be dropped.
FULL_SECONDS = 2.0


class Writer:
    """A queue of marks (states RECEIVED, which may be lost) and of operations (which may not)."""

    def __init__(self, *, most_waiting: int = MOST_WAITING, full_seconds: float = FULL_SECONDS) -> None:
        self._most_waiting = most_waiting
        self._full_seconds = full_seconds
        self._waiting: deque[upsert.Write | Operation] = deque()
        self._changed = threading.Condition()
        self._is_busy = False
        self._is_stopping = False
        #: When the thread gives up what it cannot store; None: never.
        self._deadline: float | None = None
        self._has_dropped = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="celeriac-results", daemon=True)
        # Held here too: in a forked child Python frees what belonged to other threads, and MySQL's client
        # would then say goodbye to the server on the connection that it shares with this process.
        self._connections: Sequence[Any] = ()

    def start(self) -> None:
        forks.add_owner(self)
        self._thread.start()

    def close_before_fork(self) -> None:
        """See `forks`: a lost process of the pool is replaced while the worker runs."""
        for connection in self._connections:
            if forks.must_close(connection):
                connection.inc_thread_sharing()
                connection.close()
                connection.dec_thread_sharing()

    def is_running(self) -> bool:
        """Whether it takes something to store: in the process that started it, until it is stopped."""
        return self._process == os.getpid() and self._thread.is_alive() and not self._is_stopping

    def owns_thread(self) -> bool:
        """Whether the caller is the writer's own thread."""
        return threading.current_thread() is self._thread

    def submit(self, item: upsert.Write | Operation) -> None:
        """Hand over a mark or an operation; never raises because of the database.

        A mark is dropped when too much waits; for an operation the caller waits a moment first.
        """
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                self._log_full()
                if isinstance(item, upsert.Write):
                    return
                self._drop_marks()
                self._changed.wait_for(lambda: len(self._waiting) < self._most_waiting, self._full_seconds)
            self._waiting.append(item)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until everything submitted is stored; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_busy, timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Store what waits, as long as the timeout allows, and end the thread; may be called twice."""
        with self._changed:
            self._is_stopping = True
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout
            self._changed.notify_all()
        if self._process == os.getpid() and self._thread.ident is not None:
            self._thread.join(timeout + 1)

    def _run(self) -> None:
        try:
            while (operation := self._next()) is not None:
                self._store(operation)
        finally:
            connections.close_all()
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def _next(self) -> Operation | None:
        """The next operation, or all marks up to it as one; None when the thread shall end."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._waiting) or self._is_stopping)
            if not self._waiting:
                return None
            self._is_busy = True
            first = self._waiting.popleft()
            if not isinstance(first, upsert.Write):
                return first
            marks = [first]
            while self._waiting and len(marks) < tables.MOST_ROWS:
                following = self._waiting[0]
                if not isinstance(following, upsert.Write):
                    break
                marks.append(following)
                self._waiting.popleft()
            return partial(_store_marks, marks)

    def _store(self, operation: Operation) -> None:
        number = 0
        while True:
            number += 1
            try:
                with forks.working():
                    return operation()
            except Error as error:
                if not retry.is_passing(error):
                    logger.exception("A state of a task could not be stored.")
                    return None
                if self._deadline is not None and time.monotonic() > self._deadline:
                    logger.exception("The worker stops before the database is back: a state is lost.")
                    return None
                if number == 1:
                    logger.warning("A state of a task waits for the database: %s", error)
                connections.close_all()
            except Exception:
                logger.exception("A state of a task could not be stored.")
                return None
            finally:
                self._connections = connections.all(initialized_only=True)
            retry.pause(number)

    def _drop_marks(self) -> None:
        operations = [item for item in self._waiting if not isinstance(item, upsert.Write)]
        self._waiting.clear()
        self._waiting.extend(operations)

    def _log_full(self) -> None:
        if not self._has_dropped:
            self._has_dropped = True
            logger.error(
                "%d states wait for the database: states RECEIVED are left out until it is back.",
                len(self._waiting),
            )


def _store_marks(marks: list[upsert.Write]) -> None:
    alias = results_alias()
    retry.until_stored(alias, partial(_store_marks_once, alias, marks))


def _store_marks_once(alias: str, marks: list[upsert.Write]) -> None:
    with transaction.atomic(using=alias):
        upsert.write(connections[alias], marks)


#: The writer of this process: one, because a process has one event loop. Set by the main thread only.
_writer: Writer | None = None


def start() -> Writer:
    """Start the writer of this process, a worker's main process; the same one when it runs already."""
    global _writer
    if _writer is None or not _writer.is_running():
        _writer = Writer()
        _writer.start()
    return _writer


def stop(timeout: float = 10.0) -> None:
    """Stop the writer of this process if it has one; may be called twice."""
    global _writer
    if _writer is not None:
        _writer.stop(timeout)
        _writer = None


def running() -> Writer | None:
    """The writer of this process while it runs."""
    return _writer if _writer is not None and _writer.is_running() else None


def for_this_thread() -> Writer | None:
    """The writer that must store what this thread learns; None: the thread stores it itself.

    A thread that runs a task (pools `solo` and `threads`) stores before it acknowledges.
    """
    writer = running()
    if writer is None or writer.owns_thread() or get_current_worker_task() is not None:
        return None
    return writer
