"""That this process lives: its row, its lock and its heartbeat, on a thread and connection of its own.

A claim names the row; whoever finds the owner of the row dead gives its messages back. Every consumer
has a presence, also one that is no Celery worker.
"""

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

from celeriac.broker import clock, naming
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.locks import SessionLock
from celeriac.broker.queries import workers
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.broker.wakeup import doorbell
from celeriac.conf import options
from celeriac.database.complaints import Complaints

logger = logging.getLogger(__name__)

#: How often the locks of the others are looked at.
_LOOK_SECONDS = 1.0
_SWEEP_SECONDS = 15.0
#: How long a busy database may hold up the end of a worker.
_FAREWELL_SECONDS = 2.0

_presences: dict[str, "Presence"] = {}
_starting = threading.Lock()


def worker_id(alias: str) -> int:
    """The identity under which this process claims; its presence begins with the first question."""
    return presence_for(alias).worker


def presence_for(alias: str, node: str | None = None) -> "Presence":
    """The presence of this process; begun under `node` when it is not there yet."""
    with _starting:
        presence = _presences.get(alias)
        if presence is None:
            presence = Presence(alias, node or f"{socket.gethostname()}:{os.getpid()}")
            presence.begin(is_exclusive=node is not None)
            _presences[alias] = presence
        return presence


def is_confirmed_since(alias: str, moment: float) -> bool:
    """Whether the database has said since then, on the monotonic clock, that this process lives."""
    presence = _presences.get(alias)
    return presence is None or presence.confirmed_at > moment


def stop_telling(alias: str, listener: Callable[[], None]) -> None:
    """A loop that ends hears no more of it that this process was held for lost."""
    presence = _presences.get(alias)
    if presence is not None and presence.when_held_for_lost == listener:
        presence.when_held_for_lost = None


def end_all() -> None:
    """Say farewell for this process; nothing it held may be held any more."""
    with _starting:
        while _presences:
            _presences.popitem()[1].end()


class Presence:
    """Begun and ended by its owner's thread; in between its own thread keeps it."""

    def __init__(self, alias: str, node: str, *, is_reaping: bool = True) -> None:
        self.alias = alias
        self.node = node
        self.worker = 0
        #: Called in the presence's thread when this process has begun anew, because others held it for lost.
        self.when_held_for_lost: Callable[[], None] | None = None
        self._host = socket.gethostname()
        self._session = BrokerSession(alias)
        self._lock = SessionLock(self._session)
        self._reaper = Reaper(self._session, self._lock, self._host)
        #: Who takes no messages leaves it to workers to find the dead, who know what else is to be done.
        self._is_reaping = is_reaping
        self._has_lock = False
        self._beaten_at = self._swept_at = time.monotonic()
        #: When the database last said that this process is nobody's lost one.
        self.confirmed_at = -math.inf
        self._complaints = Complaints(logger)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._description: tuple[str, int, list[str]] | None = None
        #: What the worker takes from now; looked at with each heartbeat, for remote control may change it.
        self.taken_from: Callable[[], list[str]] | None = None

    def begin(self, *, is_exclusive: bool = False) -> None:
        """Register and start the heartbeat. When `is_exclusive` raises what `naming.claim` does."""
        try:
            if is_exclusive:
                naming.claim(self._session, self._reaper, self.node, self._ended.wait)
            self._register()
        except BaseException:
            self._session.close()
            raise
        self._thread = threading.Thread(target=self._keep, name="celeriac-presence", daemon=True)
        self._thread.start()

    def describe(self, pool: str, concurrency: int, queues: Sequence[str]) -> None:
        """Write down what the worker runs with."""
        self._description = (pool, concurrency, list(queues))
        self._session.run(
            lambda connection, _: workers.describe(connection, self.worker, pool, concurrency, queues)
        )

    def end(self) -> None:
        """Stop the heartbeat and delete the row; may be called twice."""
        self._ended.set()
        # A farewell that fails costs the others a second.
        self._session.hurry(_FAREWELL_SECONDS)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        try:
            self._session.run(lambda connection, _: workers.forget(connection, self.worker))
            self._lock.release(self.worker)
        except (BrokerConnectionLost, BrokerRefused) as error:
            logger.warning("The others will find out by themselves that this worker ended: %s", error)
        self._session.close()

    def forget(self) -> None:
        """In the child of a fork: it is not the worker."""
        self._lock.forget()

    def _register(self) -> None:
        self.worker = self._session.run(
            lambda connection, _: workers.register(
                connection, self.node, self._host, os.getpid(), clock.now()
            )
        )
        self._has_lock = self._lock.acquire(self.worker)
        self._beat()
        if self._description is not None:
            self.describe(*self._description)

    def _keep(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            try:
                self._keep_once()
            except Exception:
                # Without this thread a living worker would be held for lost.
                logger.exception("Presence: it goes on in spite of this error")

    def _keep_once(self) -> None:
        """Beat and look around, each when it is time."""
        try:
            if time.monotonic() - self._beaten_at >= options().heartbeat_seconds:
                self._beaten_at = time.monotonic()
                self._beat()
            if not self._is_reaping:
                return
            restored = self._reaper.reap(self.worker)
            if time.monotonic() - self._swept_at >= _SWEEP_SECONDS:
                self._swept_at = time.monotonic()
                restored += self._reaper.sweep()
            if restored:
                self._wake()
        except (BrokerConnectionLost, BrokerRefused) as error:
            # The lock went with the connection; the next look takes it again.
            self._complaints.say(logging.WARNING, "Presence: %s", error)
            self._has_lock = False
            self._beaten_at = -math.inf
            self._session.close()

    def _beat(self) -> None:
        if not self._has_lock:
            self._has_lock = self._lock.acquire(self.worker)
        alive = self._session.run(
            lambda connection, queries: workers.beat(
                connection, queries, self.worker, has_lock=self._has_lock
            )
        )
        if alive:
            self.confirmed_at = time.monotonic()
            self._describe_anew()
        elif not self._ended.is_set():
            logger.warning("This worker was held for lost; its messages went to others. It begins anew.")
            self._lock.release(self.worker)
            self._register()
            if (tell := self.when_held_for_lost) is not None:
                tell()

    def _describe_anew(self) -> None:
        """Write down what the worker takes from, where that is not what it was."""
        if self._description is None or self.taken_from is None:
            return
        pool, concurrency, queues = self._description
        if queues != (now := self.taken_from()):
            self.describe(pool, concurrency, now)

    def _wake(self) -> None:
        # Of whatever queues; and only here: the workers of another host look for themselves within a second.
        doorbell.ring_all(self.alias)


def _after_fork_in_child() -> None:
    global _starting
    _starting = threading.Lock()
    for presence in _presences.values():
        presence.forget()
    _presences.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
