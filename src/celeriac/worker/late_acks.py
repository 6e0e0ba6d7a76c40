"""Acks to RabbitMQ and Redis wait until the results of their tasks are in the database.

Celery hands every ack to its consumer's `call_soon`, from 5.7 on to its `call_soon_ack`. (Where messages are
in a database, the flusher writes acks behind results itself.) The flusher has a thread of its own, so what it
lets go comes back through a pipe that wakes the worker's loop.
"""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.worker import state
from celery.worker.consumer.connection import Connection

from celeriac.worker import flushing
from celeriac.worker.flusher import Flusher

_SETTLING = frozenset({"ack_log_error", "reject_log_error"})
_CALLS = ("call_soon", "call_soon_ack")
#: How long the end of a consumer waits for what is not stored: a closed connection takes no ack.
_CLOSING_SECONDS = 5.0


class LateAcks(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    requires = (Connection,)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        #: What may be called: the results before it are stored.
        self._free: deque[Callable[[], object]] = deque()
        self._pipe: tuple[int, int] | None = None
        self._is_closing = False

    def start(self, consumer: Any) -> None:
        """From here on let acks wait."""
        flusher = flushing.of_external_broker()
        if flusher is None:
            return
        self._is_closing = False
        if consumer.hub is not None:
            self._watch(consumer.hub)
        for name in _CALLS:
            if hasattr(type(consumer), name):
                setattr(consumer, name, self._in_turn(consumer, flusher, getattr(type(consumer), name)))

    def _in_turn(self, consumer: Any, flusher: Flusher, call_soon: Callable[..., Any]) -> Callable[..., Any]:
        """The call, which an ack goes through later."""

        def call_in_turn(action: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(action, "__name__", "") not in _SETTLING:
                return call_soon(consumer, action, *args, **kwargs)
            if self._is_closing:
                flusher.flush(_CLOSING_SECONDS)
                return call_soon(consumer, action, *args, **kwargs)
            flusher.after_commit(lambda: self._let_go(lambda: call_soon(consumer, action, *args, **kwargs)))
            if _is_hungry(consumer):
                flusher.collect(at_once=True)
            return action

        return call_in_turn

    def stop(self, consumer: Any) -> None:
        """The connection goes: call what waits, while it takes something."""
        flusher = flushing.of_external_broker()
        self._is_closing = True
        if flusher is not None:
            flusher.flush(_CLOSING_SECONDS)
        self._call_free()
        if self._pipe is not None:
            if consumer.hub is not None:
                with suppress(KeyError, ValueError, OSError):
                    consumer.hub.remove_reader(self._pipe[0])
            for fd in self._pipe:
                os.close(fd)
            self._pipe = None

    def _watch(self, hub: Any) -> None:
        self._pipe = os.pipe()
        for fd in self._pipe:
            os.set_blocking(fd, False)
        hub.add_reader(self._pipe[0], self._on_readable, self._pipe[0])

    def _let_go(self, call: Callable[[], object]) -> None:
        """In the flusher's thread."""
        self._free.append(call)
        pipe = self._pipe
        if pipe is None:
            # Without a loop Celery's own queue of pending operations is looked at between two messages.
            self._call_free()
            return
        with suppress(OSError):
            os.write(pipe[1], b"!")

    def _on_readable(self, fd: int) -> None:
        with suppress(BlockingIOError):
            os.read(fd, 65536)
        self._call_free()

    def _call_free(self) -> None:
        while self._free:
            self._free.popleft()()


def _is_hungry(consumer: Any) -> bool:
    """Whether the pool has no task at hand beyond those that it runs: the next ones come for acks alone."""
    return len(state.reserved_requests) <= getattr(consumer.pool, "num_processes", 1)
