"""What this process has claimed and not yet finished: the verbs of the consuming side.

One per process and alias, not per channel: the tags name rows, so an ack is good whatever became of
the channel that delivered, and Celery may ack from any thread.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connections

from celeriac.broker import clock, judging, presence
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import routing
from celeriac.broker.queries.base import STEP, Claimed, Queries
from celeriac.broker.session import BrokerSession
from celeriac.broker.settlements import Pair, Settlement, Settlements, Verb, write

logger = logging.getLogger(__name__)

#: Of one look, when all that it finds is expired.
_MOST_CLAIMS = 10


@dataclass(frozen=True, slots=True)
class Held:
    """A delivered message that waits for its ack."""

    pair: Pair
    task_id: str | None
    #: The channel's count of outstanding messages goes down when it is settled.
    settled: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Due:
    """The outcome of a look at the delayed messages."""

    promoted: int
    #: Seconds until the soonest of the others is due; None: there is none.
    wait_seconds: float | None


_opened: "list[Deliveries]" = []


@lru_cache
def deliveries_for(alias: str) -> "Deliveries":
    """The deliveries of this process from a database alias."""
    deliveries = Deliveries(alias)
    _opened.append(deliveries)
    return deliveries


class Deliveries:
    """Safe in every thread. Decisions are written at once, or together when a loop collects them."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.session = BrokerSession(alias)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Hold nothing: at the beginning, and in the child of a fork."""
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._settlements = Settlements()
        #: Set by the event loop: called when there is something to write or room for more.
        self.nudge: Callable[[], None] | None = None
        self._token = 0
        #: Whether the last claim left off although nothing was fit, and more was there.
        self.is_cut_short = False
        #: Whether the last claim took as many as it had room for: there may be more.
        self.left_more = False

    def claim(self, queues: Sequence[str], limit: int) -> list[Claimed]:
        """Make up to `limit` messages ours; what is expired or was given up too often is settled here."""
        # Those behind what is not fit must not wait for the next look, nor the loop for all of that.
        for _ in range(_MOST_CLAIMS):
            claimed = self._claim(queues, limit)
            self.left_more = len(claimed) >= limit
            fit = judging.fit(self._settlements, claimed)
            self.flush_if_decided()
            if fit or not claimed:
                return fit
        self.is_cut_short = True
        return []

    def collect(self, queues: Sequence[str], limit: int) -> list[tuple[int, str, str]]:
        """Take messages out of transient queues."""
        now = clock.now()
        if not self.session.run(lambda connection, _: routing.waiting(connection, queues, now), atomic=False):
            return []
        return self.session.run(lambda connection, _: routing.collect(connection, queues, limit, now))

    def promote_due(self, queues: Sequence[str]) -> Due:
        """Make due messages ready; how many, and when the next one is due."""

        def work(connection: Any, queries: Queries) -> Due:
            promoted, step = 0, STEP
            wait = queries.next_due(connection, queues, clock.now())
            # A step that is not full: another worker is promoting the rest.
            while wait == 0 and step == STEP:
                step = queries.promote(connection, clock.now())
                promoted += step
                wait = queries.next_due(connection, queues, clock.now())
            return Due(promoted, None if wait is None else wait / clock.MICROSECONDS)

        return self.session.run(work, atomic=False)

    def hold(self, tag: str, held: Held) -> None:
        with self._lock:
            self._held[tag] = held

    def ack(self, tag: str) -> None:
        """The message is done. An unknown tag, or one settled before, is nothing."""
        # A task may end although its message was to be given back, when the connection was lost.
        if not self._settle(tag, Verb.ACK):
            self._settlements.ack_after_all(tag)
        self._write_soon()

    def requeue(self, tag: str) -> None:
        """Give a refused message back for another delivery."""
        self._settle(tag, Verb.REQUEUE)
        self._write_soon()

    def bury(self, tag: str, reason: str) -> None:
        """Move a refused message to the dead letters."""
        if self._settle(tag, Verb.BURY, reason):
            logger.error("Message %s is a dead letter: %s.", tag, reason)
        self._write_soon()

    def give_up(self, message: Claimed, reason: str) -> None:
        """Move a message that no worker will be given to the dead letters, and let its result know."""
        judging.give_up(self._settlements, message, reason)

    def release(self, tags: Iterable[str]) -> None:
        """Give back messages that were not started."""
        for tag in list(tags):
            self._settle(tag, Verb.RELEASE)
        self._write_soon()

    def flush(self) -> None:
        """Write what was decided. Raises BrokerConnectionLost, and keeps it for the next time."""
        batch = self._settlements.take()
        if not batch:
            return
        try:
            self.session.run(lambda connection, queries: write(connection, queries, batch))
        except BaseException:
            self._settlements.put_back(batch)
            raise

    def flush_if_decided(self) -> None:
        """Write what was decided, if the database lets us; otherwise it is kept."""
        if self._settlements.are_waiting():
            with suppress(BrokerConnectionLost, BrokerRefused):
                self.flush()

    def close(self) -> None:
        """End of the process: write what was decided, give back the rest; may be called twice."""
        self.nudge = None
        with self._lock:
            tags = list(self._held)
        try:
            self.release(tags)
        except (BrokerConnectionLost, BrokerRefused) as error:
            logger.warning("The others will find out by themselves what this worker held: %s", error)
        self.session.close()

    def _claim(self, queues: Sequence[str], limit: int) -> list[Claimed]:
        worker = presence.worker_id(self.alias)
        token = self._next_token()
        batch = self._settlements.take()

        def work(connection: Any, queries: Queries) -> list[Claimed]:
            write(connection, queries, batch)
            return queries.claim(connection, queues, limit, worker, token)

        try:
            # On SQLite the statement is its own transaction, and an idle look takes no write lock.
            return self.session.run(work, atomic=bool(batch) or self._vendor() == "mysql")
        except BaseException:
            self._settlements.put_back(batch)
            self._settlements.doubt(worker, token)
            raise

    def _settle(self, tag: str, verb: Verb, reason: str = "") -> bool:
        with self._lock:
            held = self._held.pop(tag, None)
            if held is None:
                return False
            self._settlements.add(tag, Settlement(verb, held.pair, reason))
        held.settled()
        return True

    def _write_soon(self) -> None:
        if self.nudge is not None:
            self.nudge()
        else:
            self.flush()

    def _next_token(self) -> int:
        """New at every claim, and greater than the one before; see `restoring.restore`."""
        with self._lock:
            self._token = max(self._token + 1, time.time_ns() // 1000 << 10 | secrets.randbits(10))
            return self._token

    def _vendor(self) -> str:
        return connections[self.alias].vendor


def close_all() -> None:
    """End of the process: see Deliveries.close."""
    for deliveries in _opened:
        deliveries.close()


def _forget_in_child() -> None:
    """What the parent holds is not the child's, and its loop does not serve the child."""
    for deliveries in _opened:
        deliveries.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
