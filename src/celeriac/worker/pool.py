"""Celery's prefork pool on a shorter way: a free process is handed its next task at once, and in one piece.

Celery asks the kernel whether a process's pipe can be written to, is told so in the loop's next turn, and
writes a job's length and its body one after the other, so that the process is woken twice; and it enters each
pipe into the loop again when it has read from it. The pipe of an idle process is empty and takes a small job
as a whole (POSIX: a write of up to PIPE_BUF bytes is never parted). All else is Celery's: which job is next,
who is busy, large jobs, and processes that come and go.
"""

import math
import os
import pickle
import select
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from billiard.pool import TERMINATE
from celery.concurrency import asynpool, prefork

from celeriac.broker import presence
from celeriac.conf import options

_LENGTH = struct.Struct(">i")

#: How long to wait for a word of a process before looking whether it is still there.
_HEARING_MILLISECONDS = 50
#: When to look whether a process that has closed its files has ended; then after twice that, and so on.
_DYING_SECONDS, _LONGEST_DYING_SECONDS = 0.005, 3.0
#: How long a worker that stood still waits for the database to say whose its messages are.
_LONGEST_DOUBT_SECONDS = 5.0
#: How long a free process may take to say that it has begun with its job; it does so at once.
_BEGINNING_SECONDS = 5.0


def shorten(pool: Any, broker_alias: str | None) -> None:
    """Let Celery's own prefork pool, which has not started, go the shorter way; others stay as they are.

    `broker_alias` is the database that carries messages, or None.
    """
    if type(pool) is prefork.TaskPool and pool.Pool is asynpool.AsynPool:
        pool.Pool = type("Pool", (Pool,), {"broker_alias": broker_alias})


class _ResultHandler(asynpool.ResultHandler):
    """Reads what the processes tell."""

    def _recv_message(
        self, add_reader: Callable[..., None], fd: int, callback: Callable[[Any], None]
    ) -> Iterator[None]:
        """Read one message and call back; waits by yielding. Raises OSError, EOFError."""
        is_suspended = False
        # A long message comes in many parts: it grows in place.
        message, length = bytearray(), _LENGTH.size
        for is_header in (True, False):
            message = bytearray()
            while len(message) < length:
                try:
                    part = os.read(fd, length - len(message))
                except BlockingIOError:
                    is_suspended = True
                    yield
                    continue
                if not part:
                    raise OSError("End of file during message") if message or not is_header else EOFError
                message += part
            if is_header:
                (length,) = _LENGTH.unpack(message)
        if is_suspended:
            # Meanwhile the loop had this generator for it.
            add_reader(fd, self.handle_event, fd)
        # From a child of this process, as in Celery.
        if told := pickle.loads(message):  # noqa: S301
            callback(told)

    def on_stop_not_started(self) -> None:
        """At a warm end hear the processes out, until they have gone.

        What a process had been given and had not said to have begun is forgotten by Celery when the consumer
        closes, and with nothing to wait for it listens no more. A process waits half a minute to be heard.
        """
        super().on_stop_not_started()
        living = {fd: process for fd, process in self.fileno_to_outq.items() if process._is_alive()}
        while living and self._state != TERMINATE:
            gone: set[int] = set()
            self._hear(living, gone)
            living = {fd: process for fd, process in living.items() if fd not in gone and process._is_alive()}

    def hear_once(self, process: Any) -> bool:
        """Read a message of this one if it says something soon; False: it cannot be heard any more."""
        gone: set[int] = set()
        self._hear({process.outq._reader.fileno(): process}, gone)
        return not gone

    def _hear(self, living: dict[int, Any], gone: set[int]) -> None:
        """Read a message of each that says something soon; who cannot be heard any more is `gone`."""
        poller = select.poll()
        for fd in living:
            poller.register(fd, select.POLLIN)
        for fd, _ in poller.poll(_HEARING_MILLISECONDS):
            self._flush_outqueue(fd, gone.add, self.fileno_to_outq, self.on_state_change)


class Pool(asynpool.AsynPool):
    """Celery's, which hands jobs out by itself instead of waiting for the loop."""

    ResultHandler = _ResultHandler
    broker_alias: str | None = None
    #: When the loop was here last, and since when it is in doubt whether it was held for lost meanwhile.
    _turned_at = math.inf
    _doubts_since: float | None = None

    def _create_write_handlers(self, hub: Any, **defaults: Any) -> None:
        quiet = _QuietHub(hub)
        super()._create_write_handlers(quiet, **defaults)
        hub.consolidate_callback = self._write_to_some = quiet.consolidate_callback
        # What Celery's handlers have just been set to.
        theirs = vars(self)
        self._put_in_two, self._quick_put = theirs["_quick_put"], self._put_in_one_piece
        if self.sched_strategy == asynpool.SCHED_STRATEGY_FAIR:
            self._look_for_room, self.on_poll_start = theirs["on_poll_start"], self._hand_out
        self._writers = hub.writers

    def _put_in_one_piece(self, job: Any) -> None:
        self._put_in_two(job)
        result = self._cache[job[1][0]]
        header, body, size = result._payload
        if len(header) + size <= select.PIPE_BUF:
            result._payload = memoryview(bytes(header) + bytes(body)), memoryview(b""), 0

    def flush(self) -> None:
        """Forget what no process has begun, as Celery does when a consumer closes.

        It takes for such what a process runs already, as long as it has not read that: the message of that
        task is not acknowledged, and it runs again.
        """
        if self.sched_strategy == asynpool.SCHED_STRATEGY_FAIR and self._state != TERMINATE:
            ends_at = time.monotonic() + _BEGINNING_SECONDS
            for job in tuple(self._cache.values()):
                while self._may_have_begun(job) and time.monotonic() < ends_at:
                    if not self._result_handler.hear_once(job._write_to):
                        break
        super().flush()

    def _may_have_begun(self, job: Any) -> bool:
        process = job._write_to
        if process is None or job._accepted or job.ready() or not process._is_alive():
            return False
        # Not while it is still being written: that goes on below.
        return process.inqW_fd not in self._active_writes and not process.outq._reader.closed

    def on_job_process_down(self, job: Any, pid_gone: int) -> None:
        """Put back what a process that died had not begun; while one that died is seen to, another may die.

        Celery has not read then what that one said of its job, and ran the job again without a new delivery.
        """
        process = job._write_to
        if process is not None and not job._accepted and not process._is_alive():
            self.process_flush_queues(process)
            if job._accepted:
                return  # The next look finds the process dead, and the job lost with it.
        super().on_job_process_down(job, pid_gone)

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        """See to a process whose end of the pipe has closed, which is a moment before the process has ended.

        Celery looks once, finds it alive on a busy machine, and then starts no other for up to five seconds.
        """
        super()._event_process_exit(hub, proc)
        self._look_again(hub, proc, _DYING_SECONDS)

    def _look_again(self, hub: Any, proc: Any, seconds: float) -> None:
        # The last of these is longer than Celery's own way, for a process that lives on without its pipe.
        if proc in self._pool and seconds < _LONGEST_DYING_SECONDS:
            hub.call_later(seconds, self._look_once_more, hub, proc, seconds * 2)

    def _look_once_more(self, hub: Any, proc: Any, seconds: float) -> None:
        self.maintain_pool()
        self._look_again(hub, proc, seconds)

    def _hand_out(self) -> None:
        """Write to those that are free; what is left is for Celery's own way."""
        if self._is_in_doubt():
            return
        all_pipes, busy = self._all_inqueues, self._busy_workers
        if self.outbound_buffer and (free := all_pipes - busy - self._active_writes):
            self._write_to_some(list(free))
        has_more = self.outbound_buffer and len(busy) < len(all_pipes)
        if has_more or not all_pipes.isdisjoint(self._writers):
            self._look_for_room()

    def _is_in_doubt(self) -> bool:
        """Whether the process has stood still for so long that others may have what it was to run."""
        now = time.monotonic()
        if now - self._turned_at > options().lost_after_seconds / 2:
            self._doubts_since = now
        self._turned_at = now
        if self._doubts_since is None or self.broker_alias is None:
            return False
        is_over = now - self._doubts_since > _LONGEST_DOUBT_SECONDS
        if is_over or presence.is_confirmed_since(self.broker_alias, self._doubts_since):
            self._doubts_since = None
        return self._doubts_since is not None


class _QuietHub:
    """The loop's hub, which does not ask the kernel to take out what is not in it."""

    consolidate_callback: Callable[[list[int]], None]

    def __init__(self, hub: Any) -> None:
        self._hub = hub

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hub, name)

    def remove_writer(self, fd: int) -> None:
        if fd in self._hub.writers:
            self._hub.remove_writer(fd)
