"""Acks to RabbitMQ and Redis wait until the results of their tasks are in the database.

Celery hands every ack to its consumer's `call_soon`, from 5.7 on to its `call_soon_ack`. (Where messages are
in a database, the flusher writes acks behind results itself.) The flusher has a thread of its own, so what it
lets go comes back through a pipe that wakes the worker's loop, which calls all of it together.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import bootsteps
from celery.worker import state
from celery.worker.consumer.mingle import Mingle

from celeriac.broker import redis_acks
from celeriac.broker.wakeup.self_pipe import SelfPipe
from celeriac.worker import flushing
from celeriac.worker.allowance import Allowance, allowance_of
from celeriac.worker.flusher import Flusher

_SETTLING = frozenset({"ack_log_error", "reject_log_error"})
_CALLS = ("call_soon", "call_soon_ack")
#: How long the end of a consumer waits for what is not stored: a closed connection takes no ack.
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Settling:
    """An ack, or a refusal, that waits."""

    settle: Callable[[], object]
    #: Celery's way for it, which leads to its loop sooner or later.
    soon: Callable[[], object]
    channel: Any
    #: Where it is counted while it waits.
    allowance: Allowance | None


class LateAcks(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    # On Redis Mingle reads by the loop's own poller what it does not know of: a pipe that is written to by
    # then ended the worker with a KeyError.
    requires = (Mingle,)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        #: What may be called: the results before it are stored.
        self._free: deque[_Settling] = deque()
        self._pipe: SelfPipe | None = None
        self._loop_thread: int | None = None
        self._is_closing = False
        self._closing_until = 0.0
        #: What the consumer's present count of messages is told by, and that count.
        self._allowance: Allowance | None = None
        self._qos: Any = None

    def start(self, consumer: Any) -> None:
        """From here on let acks wait."""
        flusher = flushing.of_external_broker()
        if flusher is None:
            return
        self._is_closing = False
        flusher.committed = self._wake_for_free
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
                flusher.flush(max(0.0, self._closing_until - time.monotonic()))
                return call_soon(consumer, action, *args, **kwargs)
            allowance = self._allowance_of(consumer)
            settling = _Settling(
                partial(action, *args, **kwargs),
                partial(call_soon, consumer, action, *args, **kwargs),
                getattr(getattr(action, "__self__", None), "channel", None),
                allowance,
            )
            has_more = allowance is not None and allowance.wait()
            if has_more:
                self._turn()
            flusher.after_commit(partial(self._let_go, settling))
            if not has_more and _is_hungry(consumer):
                flusher.collect(at_once=True)
            return action

        return call_in_turn

    def _allowance_of(self, consumer: Any) -> Allowance | None:
        """Celery makes a new count for each connection, after this step has started."""
        qos = getattr(consumer, "qos", None)
        if qos is not self._qos:
            self._qos = qos
            self._allowance = allowance_of(consumer) if consumer.hub is not None else None
            if qos is not None:
                redis_acks.keep_client(consumer.task_consumer.channel)
        return self._allowance

    def stop(self, consumer: Any) -> None:
        """The connection goes: call what waits, while it takes something."""
        flusher = flushing.of_external_broker()
        self._is_closing = True
        # Once for all that comes until the next start: what is not stored by then is in the journal.
        self._closing_until = time.monotonic() + _CLOSING_SECONDS
        if flusher is not None:
            flusher.flush(_CLOSING_SECONDS)
        # Celery's way comes to them when it takes no more messages: an ack now would ask for the next one.
        self._call_free(is_in_loop=False)
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

    def _watch(self, hub: Any) -> None:
        self._loop_thread = threading.get_ident()
        self._pipe = SelfPipe(hub, partial(self._call_free, is_in_loop=True))

    def _let_go(self, settling: _Settling) -> None:
        """In the flusher's thread; behind all that a commit lets go the loop is woken once."""
        self._free.append(settling)
        if self._pipe is None:
            # Without a loop Celery's own queue of pending operations is looked at between two messages.
            self._call_free(is_in_loop=False)

    def _turn(self) -> None:
        """Let the loop come to tell the broker; in its own thread it does so next."""
        if threading.get_ident() != self._loop_thread:
            self._wake()

    def _wake_for_free(self) -> None:
        """In the flusher's thread, which also looks when nothing has ended."""
        if self._free:
            self._wake()

    def _wake(self) -> None:
        pipe = self._pipe
        if pipe is not None:
            pipe.wake()

    def _call_free(self, *, is_in_loop: bool) -> None:
        free = []
        while self._free:
            free.append(self._free.popleft())
        if not is_in_loop:
            for each in free:
                each.soon()
            return
        _end_waiting(free)
        with redis_acks.together(each.channel for each in free):
            for each in free:
                each.settle()


def _end_waiting(free: list[_Settling]) -> None:
    """Before they are acknowledged: the broker would send one for each of them, and one for its ack."""
    for allowance in {each.allowance for each in free}:
        if allowance is not None:
            allowance.end(sum(each.allowance is allowance for each in free))


def _is_hungry(consumer: Any) -> bool:
    """Whether the pool has no task at hand beyond those that it runs: the next ones come for acks alone."""
    return len(state.reserved_requests) <= getattr(consumer.pool, "num_processes", 1)
