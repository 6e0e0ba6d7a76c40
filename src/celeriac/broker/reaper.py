"""Finding the dead: by their lock within a second, by their silence on this process's own clock.

Silence counts only while this process looks at the database and reaches it: when nobody could write, the
living are as silent as the dead, and whoever gets through first must not condemn the others for it.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker import clock
from celeriac.broker.database_clock import DatabaseClock
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.locks import SessionLock
from celeriac.broker.processes import is_gone, may_have_run_at
from celeriac.broker.queries import restoring, routing, workers
from celeriac.broker.queries.base import Queries
from celeriac.broker.queries.workers import Peer
from celeriac.broker.session import BrokerSession
from celeriac.conf import options
from celeriac.database import failures

logger = logging.getLogger(__name__)

#: How long the row of a lost worker stays, for people to see.
_REMEMBER_SECONDS = 24 * 3600
#: Looks follow each other within a second. After a longer gap than this, and than a heartbeat, this process
#: or its database stood still, and the others may not have been able to beat either.
_LONGEST_GAP_SECONDS = 3.0


#: Done before the messages of a worker of this host go to others: it may have left acks in a file.
before_losing: dict[str, Callable[[], object]] = {}
#: Called with each worker that is found dead, before its messages go to others. Must not raise.
losing: dict[str, Callable[[Peer], object]] = {}
#: In the transaction in which a worker is marked lost, before its messages go to others: ends what nobody is
#: to run again, and returns what follows, which is done after the commit.
Close = Callable[[BaseDatabaseWrapper, Peer], Callable[[], object]]
#: Called by the one process that is the first to mark it.
closing: dict[str, Close] = {}


@dataclass(slots=True)
class _Seen:
    """A heartbeat, and since when it has been watched without a change, on the monotonic clock."""

    heartbeat: int
    at: float


class Reaper:
    """Belongs to the presence of one process and runs in its thread."""

    def __init__(self, session: BrokerSession, lock: SessionLock, host: str) -> None:
        self._session = session
        self._clock = DatabaseClock(session)
        self._lock = lock
        self._host = host
        self._seen: dict[int, _Seen] = {}
        self._looked_at = time.monotonic()
        #: Workers that are dead and not marked yet, and since when, on the monotonic clock.
        self._closing_since: dict[int, float] = {}

    def reap(self, me: int) -> int:
        """Give back the messages of every worker found dead; how many messages those were."""
        peers = self._session.run(lambda connection, _: workers.peers(connection, me), atomic=False)
        self.look(peers)
        return sum(self.lose(peer) for peer in peers if self.is_dead(peer))

    def look(self, peers: list[Peer]) -> None:
        """Remember the heartbeats of these, and forget all others; after a gap all begin anew."""
        now = time.monotonic()
        if now - self._looked_at > max(_LONGEST_GAP_SECONDS, options().heartbeat_seconds):
            self._seen = {}
        self._looked_at = now
        self._seen = {peer.id: self._look(peer) for peer in peers}

    def is_dead(self, peer: Peer) -> bool:
        """Whether the peer's lock went with its life, or its heart has not beaten for LOST_AFTER_SECONDS."""
        silent_seconds = self._silent_seconds(peer)
        if silent_seconds > options().lost_after_seconds:
            return not self.lives_here(peer)
        if not self.has_lost_its_lock(peer):
            return False
        # A restart of the server frees every lock, and so does who deletes the directory of a SQLite file's
        # locks; a living worker takes its own again, or its heart beats.
        return is_gone(peer.pid) or silent_seconds > 2 * options().heartbeat_seconds

    def lives_here(self, peer: Peer) -> bool:
        """Whether the peer is proved to live by what this host knows, however silent it is.

        The kernel keeps the lock of a file for the living alone. A server also keeps the lock of a host that
        crashed, until it misses the connection; so there the process must be seen too, and be old enough not
        to be another one with the same number, as after a restart of the host or in a new container.
        """
        if peer.host != self._host or not peer.has_lock or self._lock.is_free(peer.id):
            return False
        if self._lock.is_of_kernel:
            return True
        return peer.pid != os.getpid() and may_have_run_at(peer.pid, peer.started_at)

    def is_former_life(self, peer: Peer) -> bool:
        """For one that would bear this process's name: whether its process is gone from this host."""
        if peer.host != self._host or not (is_gone(peer.pid) or peer.pid == os.getpid()):
            return False
        if peer.has_lock:
            return self.has_lost_its_lock(peer)
        # Containers may share a host's name and not its processes.
        return self.is_overdue(peer)

    def is_overdue(self, peer: Peer) -> bool:
        """Whether a heartbeat of the living would be here by now, with some time for its way."""
        return self._silent_seconds(peer) > 1.2 * options().heartbeat_seconds

    def has_lost_its_lock(self, peer: Peer) -> bool:
        """Whether the lock that the peer had is free; the lock of a SQLite worker is a file of its host."""
        return peer.has_lock and peer.host == self._host and self._lock.is_free(peer.id)

    def lose(self, peer: Peer) -> int:
        """Mark the worker lost and make its messages ready; 0 when another process was quicker."""
        if peer.host == self._host:
            for action in list(before_losing.values()):
                action()
        for tell in list(losing.values()):
            tell(peer)
        restored = self._lose_and_close(peer)
        if restored >= 0:
            logger.warning(
                "Worker %s (pid %s on %s) is lost; %s messages go to the others.",
                peer.node,
                peer.pid,
                peer.host,
                restored,
            )
        return max(0, restored)

    def _lose_and_close(self, peer: Peer) -> int:
        """Raises the errors that pass, for whoever looks again, as long as a silent worker is waited for."""
        first_at = self._closing_since.setdefault(peer.id, time.monotonic())
        try:
            restored = self._lose(peer, list(closing.values()))
        except BrokerConnectionLost:
            raise
        except Exception as error:
            if _passes(error) and time.monotonic() - first_at < options().lost_after_seconds:
                raise
            # The messages do not wait for what another table refuses, nor for what is wrong in a record.
            logger.exception("What ran in worker %s and nobody runs again is not ended.", peer.node)
            restored = self._lose(peer, [])
        del self._closing_since[peer.id]
        return restored

    def _lose(self, peer: Peer, closing: list[Close]) -> int:
        following: list[Callable[[], object]] = []

        def work(connection: BaseDatabaseWrapper, _: Queries) -> int:
            following.clear()
            if not workers.lose(connection, peer.id):
                return -1
            following.extend(close(connection, peer) for close in closing)
            return restoring.restore(connection, peer.id, peer.concurrency)

        restored = self._session.run(work)
        for follow in following:
            follow()
        return restored

    def sweep(self) -> int:
        """Restore what no live worker holds, and forget what has expired."""
        # A host whose clock is ahead must not end what others read.
        now = self._clock.now() or 0
        self._session.run(lambda connection, _: routing.sweep(connection, now))
        before = now - clock.seconds(_REMEMBER_SECONDS)
        self._session.run(lambda connection, _: workers.forget_lost(connection, before))
        return self._session.run(lambda connection, _: restoring.restore_orphans(connection))

    def _silent_seconds(self, peer: Peer) -> float:
        seen = self._seen.get(peer.id)
        return 0.0 if seen is None else time.monotonic() - seen.at

    def _look(self, peer: Peer) -> _Seen:
        seen = self._seen.get(peer.id)
        if seen is None or seen.heartbeat != peer.heartbeat:
            return _Seen(peer.heartbeat, time.monotonic())
        return seen


def _passes(error: Exception) -> bool:
    """Others are in the way, or there is no room now."""
    return isinstance(error, BrokerRefused) and failures.is_passing(error)
