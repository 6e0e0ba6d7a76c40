"""What this process has claimed and not yet finished: the verbs of the consuming side.

One per process and alias, not per channel: the tags name rows, so an ack is good whatever became of
the channel that delivered, and Celery may ack from any thread.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from celeriac.broker import clock, due, judging
from celeriac.broker.claims import Claims, Noted, Reading
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import routing
from celeriac.broker.queries.base import Claimed
from celeriac.broker.session import BrokerSession
from celeriac.broker.settlements import Pair, Settlement, Settlements, Verb, write
from celeriac.dead_letters import shown_by

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A delivered message that waits for its ack."""

    pair: Pair
    task_id: str | None
    #: The channel's count of outstanding messages goes down when it is settled.
    settled: Callable[[], object]


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
        #: How many messages its worker works on at once, at the most; None: nobody has said.
        self.slots: int | None = None
        #: Set by the worker: whether tasks may be held that no free slot may begin with, for a rate limit.
        self.are_limited: Callable[[], bool] | None = None
        #: Tags of held messages whose acks were written, or are in the flusher's hands.
        self._is_done: set[str] = set()
        self._settlements = Settlements()
        self.claims = Claims(self.alias, self.session, self._settlements, self._held)
        #: Set by the event loop: called when there is something to write or room for more.
        self.nudge: Callable[[], None] | None = None
        #: Set by the event loop: whether there is room for so many messages that a look for them pays.
        self.is_worth_a_look: Callable[[], bool] | None = None
        #: Set by the worker's flusher: called when there is something to write; True: at once.
        self.collect_acks: Callable[[bool], None] | None = None

    def claim(self, queues: Sequence[str], limit: int, *, is_of_loop: bool = False) -> list[Claimed]:
        """Up to `limit` messages that are ours from now on.

        `is_of_loop`: for the worker's consumers, which may get what was claimed ahead for them, and nothing
        while the flusher is about to claim some.
        """
        found: list[Claimed] = []
        if is_of_loop and self.collect_acks is not None:
            found = self.claims.from_ahead(queues, limit)
            if not found and self.claims.must_wait(queues):
                self.collect_acks(True)
                return []
        writes_acks = self.collect_acks is None
        found = found or self.claims.claim(queues, limit, writes_acks=writes_acks, is_of_loop=is_of_loop)
        self.flush_if_decided()
        return found

    def has_backlog(self) -> bool:
        """Whether the flusher has messages for us, or is about to: nobody need tell us of new ones."""
        return self.collect_acks is not None and self.claims.has_more()

    def is_storing(self) -> bool:
        """Whether the flusher is at the database: whoever asks something there waits for its commit."""
        return self.claims.is_exchanging

    def exchange(self, read: Callable[[], Noted], store: Callable[[Any], object]) -> None:
        """For the flusher: write what was decided behind `store`, and claim ahead, in one transaction.

        Raises BrokerConnectionLost and the like, or what `read` raises, and keeps what was decided.
        """

        def reading() -> Reading:
            noted = read()
            done = self._noted_as_done(noted.tags)
            return Reading(done, noted.tags, noted.is_whole, store if noted.has_any else None)

        try:
            must_look = self.claims.exchange(reading)
        except BaseException:
            self._nudge()
            raise
        if must_look:
            self._nudge()

    def collect(self, queues: Sequence[str], limit: int) -> list[tuple[int, str, str]]:
        """Take messages out of transient queues."""
        now = clock.now()
        if not self.session.run(lambda connection, _: routing.waiting(connection, queues, now), atomic=False):
            return []
        return self.session.run(lambda connection, _: routing.collect(connection, queues, limit, now))

    def promote_due(self, queues: Sequence[str]) -> due.Due:
        """Make due messages ready; how many, and when the next one is due."""
        return self.session.run(partial(due.promote, queues=queues), atomic=False)

    def hold(self, tag: str, held: Held) -> None:
        with self._lock:
            self._held[tag] = held

    def ack(self, tag: str) -> None:
        """The message is done. An unknown tag, or one settled before, is nothing."""
        # A task may end although its message was to be given back, when the connection was lost.
        if not self._settle(tag, Verb.ACK):
            self._settlements.ack_after_all(tag)
        collect, is_worth_a_look = self.collect_acks, self.is_worth_a_look
        if collect is None or is_worth_a_look is None or is_worth_a_look():
            self._write_soon()
        else:
            # The flusher writes it; the loop has enough at hand.
            collect(False)

    def requeue(self, tag: str) -> None:
        """Give a refused message back for another delivery."""
        self._settle(tag, Verb.REQUEUE)
        self._write_soon()

    def bury(self, tag: str, reason: str) -> None:
        """Move a refused message to the dead letters."""
        held = self._held.get(tag)
        if held is not None and self._settle(tag, Verb.BURY, reason):
            name = held.task_id or held.pair[0]
            logger.error("Message %s is a dead letter: %s. See: %s", name, reason, shown_by(held.task_id))
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
        if self.collect_acks is not None:
            return self.collect_acks(False) if self._settlements.are_waiting() else None
        batch = self._settlements.take()
        if not batch:
            return None
        try:
            self.session.run(lambda connection, queries: write(connection, queries, batch))
        except BaseException:
            self._settlements.put_back(batch)
            raise
        return None

    def flush_if_decided(self) -> None:
        """Write what was decided, if the database lets us; otherwise it is kept."""
        if self._settlements.are_waiting():
            with suppress(BrokerConnectionLost, BrokerRefused):
                self.flush()

    def close(self) -> None:
        """End of the process: write what was decided, give back the rest; may be called twice."""
        self.nudge = self.is_worth_a_look = self.collect_acks = None
        self.claims.give_back()
        with self._lock:
            tags = list(self._held)
        try:
            self.release(tags)
        except (BrokerConnectionLost, BrokerRefused) as error:
            logger.warning("The others will find out by themselves what this worker held: %s", error)
        self.session.close()

    def _nudge(self) -> None:
        if (nudge := self.nudge) is not None:
            nudge()

    def _noted_as_done(self, tags: Iterable[str]) -> dict[str, Pair]:
        """Those that are held: their acks go with what was noted, and Celery's own will not be written."""
        with self._lock:
            found = {tag: self._held[tag].pair for tag in tags if tag in self._held}
            self._is_done.update(found)
        return found

    def _settle(self, tag: str, verb: Verb, reason: str = "") -> bool:
        with self._lock:
            held = self._held.pop(tag, None)
            if held is None:
                return False
            if tag in self._is_done:
                self._is_done.discard(tag)
            else:
                self._settlements.add(tag, Settlement(verb, held.pair, reason))
        held.settled()
        return True

    def _write_soon(self) -> None:
        # Another thread may end the loop or the flusher meanwhile.
        collect, nudge = self.collect_acks, self.nudge
        if collect is not None:
            collect(False)
        if nudge is not None:
            nudge()
        elif collect is None:
            self.flush()


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
