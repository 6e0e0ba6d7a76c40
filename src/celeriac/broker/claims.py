"""How this process comes by its messages: by a claim, or by one that was made ahead with its acks."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from celeriac.broker import judging, presence
from celeriac.broker.ahead import Ahead
from celeriac.broker.database_clock import DatabaseClock
from celeriac.broker.queries import restoring
from celeriac.broker.queries.base import Claimed, Queries
from celeriac.broker.queries.choice import Choice
from celeriac.broker.session import BrokerSession, Work
from celeriac.broker.settlements import Batch, Pair, Settlement, Settlements, Verb, write

logger = logging.getLogger(__name__)

#: Of one look, when all that it finds is expired.
_MOST_CLAIMS = 10
#: Given up at once.
_MOST_CHOSEN = 100


@dataclass(frozen=True, slots=True)
class Noted:
    """What the flusher has read of the worker's journals."""

    #: The tags of messages that are done, whether Celery has acknowledged them yet or not.
    tags: Sequence[str]
    has_any: bool
    #: Whether nothing was left to read: then the results of all that Celery has acknowledged are among it.
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What the flusher has at hand for an exchange."""

    #: Messages that are done and held, by their tags, whether they are acknowledged or not.
    done: dict[str, Pair]
    #: The tags of all that are done.
    tags: Sequence[str]
    #: Whether nothing was left to read.
    is_whole: bool
    #: Writes what their tasks came to; None: there is nothing to write.
    store: Callable[[Any], object] | None


class Claims:
    """Of one process and alias; safe in every thread. What is not fit to be delivered is settled here."""

    def __init__(
        self, alias: str, session: BrokerSession, settlements: Settlements, held: Mapping[str, Any]
    ) -> None:
        self._alias = alias
        self._session = session
        self.clock = DatabaseClock(session)
        self._settlements = settlements
        #: By their tags the messages that were delivered and are not settled.
        self._held = held
        #: The connection over which these are known to be claimed.
        self._connection: Any = None
        self._lock = threading.Lock()
        self._token = 0
        self._ahead = Ahead()
        #: Whether the flusher is at it.
        self.is_exchanging = False
        #: Whether the loop was told to wait for the flusher.
        self._is_awaited = False
        self._exchanged_at = 0.0
        #: Whether the last claim left off although nothing was fit, and more was there.
        self.is_cut_short = False
        #: Whether the last claim took as many as it had room for: there may be more.
        self.left_more = False
        #: Set by the worker: which messages it takes; None: all.
        self.choice: Choice | None = None

    def claim(
        self, queues: Sequence[str], limit: int, *, writes_acks: bool = True, is_of_loop: bool = False
    ) -> list[Claimed]:
        """Make up to `limit` messages ours; what is expired or was given up too often is settled here.

        Raises BrokerConnectionLost and the like; what was to be written with it is kept.
        """
        # Those behind what is not fit must not wait for the next look, nor the loop for all of that.
        for _ in range(_MOST_CLAIMS):
            batch = self._settlements.take() if writes_acks else Batch()
            claimed = self._claim(queues, limit, batch, self.choice)
            self.left_more = len(claimed) >= limit
            if is_of_loop:
                self._ahead.looked(queues, asked=limit, found=len(claimed))
            fit = judging.fit(self._settlements, claimed, self.clock.now)
            if fit or not claimed:
                return fit
        self.is_cut_short = True
        return []

    def give_up_chosen(self, queues: Sequence[str], choice: Choice, reason: str) -> int:
        """Move some of these messages to the dead letters; how many. Raises BrokerConnectionLost etc."""
        claimed = self._claim(queues, _MOST_CHOSEN, Batch(), choice)
        for message in claimed:
            judging.give_up(self._settlements, message, reason)
        return len(claimed)

    def from_ahead(self, queues: Sequence[str], limit: int) -> list[Claimed]:
        """Up to `limit` of those that were claimed ahead."""
        found = self._ahead.take(queues, limit, presence.worker_id(self._alias)) if self._ahead else []
        self.left_more = bool(found) and len(found) < limit and bool(self._ahead.queues)
        # They may have expired since.
        return judging.fit(self._settlements, found, self.clock.now) if found else found

    def has_more(self) -> bool:
        """Whether some are claimed ahead, or there are more to claim."""
        return bool(self._ahead) or bool(self._ahead.queues)

    def must_wait(self, queues: Sequence[str]) -> bool:
        """Whether the flusher is about to claim from these queues; it tells when it has."""
        is_coming = self.is_exchanging or self._settlements.are_waiting()
        if not (is_coming and self._ahead.queues and set(queues) <= set(self._ahead.queues)):
            return False
        self._is_awaited = True
        # Perhaps it has ended in this moment, and has not seen that.
        return self.is_exchanging or self._settlements.are_waiting()

    def exchange(self, read: Callable[[], Reading]) -> bool:
        """Write what was decided and what is read, and claim ahead, in one transaction.

        Returns whether the loop should look now. Raises BrokerConnectionLost and the like, or what `read`
        raises, and keeps what was decided.
        """
        self.is_exchanging = True
        try:
            has_found = self._exchange(read)
        finally:
            self.is_exchanging = False
        is_awaited, self._is_awaited = self._is_awaited, False
        return has_found or is_awaited

    def give_back(self) -> None:
        """Release what was claimed ahead, and claim no more: a consumer is gone."""
        self._release(self._ahead.stop())

    def give_back_stale(self) -> None:
        """Release what was claimed ahead and is not come to."""
        if self._ahead.is_stale():
            self.give_back()

    def _exchange(self, read: Callable[[], Reading]) -> bool:
        worker, token, wanted = presence.worker_id(self._alias), self._next_token(), 0
        # Taken first: what is read then has the results of all of them.
        batch = self._settlements.take()

        def work(connection: Any, queries: Queries) -> tuple[Any, list[Claimed]]:
            self._keep(connection, worker, batch)
            if reading.store is not None:
                reading.store(connection)
            write(connection, queries, batch)
            if not wanted:
                return connection, []
            return connection, queries.claim(connection, queues, wanted, worker, token, self.choice)

        try:
            reading = read()
            batch = self._writable(batch, reading)
            generation, queues = self._ahead.generation, self._ahead.queues
            wanted = self._wanted(len(batch.settlements)) if queues else 0
            claimed = self._run(work) if batch or reading.store is not None else []
        except BaseException:
            # The next claim is the loop's own, which tells of the outage.
            self._ahead.queues = ()
            self._settlements.put_back(batch)
            if wanted:
                self._settlements.doubt(worker, token)
            raise
        if wanted and not self._ahead.add(claimed, generation, worker, asked=wanted):
            self._release(claimed)
        return bool(claimed)

    def _writable(self, batch: Batch, reading: Reading) -> Batch:
        """What may be written now: an ack only when the results of all acks are in the reading."""
        if not reading.is_whole:
            self._settlements.put_back(batch)
            batch = Batch()
        batch.acknowledge(reading.done, reading.tags)
        return batch

    def _wanted(self, done: int) -> int:
        now = time.monotonic()
        seconds, self._exchanged_at = now - self._exchanged_at, now
        return self._ahead.wanted(done, seconds)

    def _claim(self, queues: Sequence[str], limit: int, batch: Batch, choice: Choice | None) -> list[Claimed]:
        worker, token = presence.worker_id(self._alias), self._next_token()

        def work(connection: Any, queries: Queries) -> tuple[Any, list[Claimed]]:
            self._keep(connection, worker, batch)
            write(connection, queries, batch)
            return connection, queries.claim(connection, queues, limit, worker, token, choice)

        try:
            # On SQLite the statement is its own transaction, and an idle look takes no write lock.
            is_atomic = bool(batch) or connections[self._alias].vendor == "mysql"
            claimed = self._run(work, atomic=is_atomic)
        except BaseException:
            self._settlements.put_back(batch)
            self._settlements.doubt(worker, token)
            raise
        return claimed

    def _run(self, work: Work[tuple[Any, list[Claimed]]], *, atomic: bool = True) -> list[Claimed]:
        # Known from now on: what was claimed again by a transaction that failed is not.
        self._connection, claimed = self._session.run(work, atomic=atomic)
        return claimed

    def _keep(self, connection: Any, worker: int, batch: Batch) -> None:
        """Over a new connection to a server, claim again what we have: a crash may have taken the claim back.

        Claims do not wait for PostgreSQL's disk. Without this, all that the worker has, and has done during
        the outage, would run twice.
        """
        if connection is self._connection:
            return
        if connection.vendor != "sqlite":
            held = {each.pair for each in list(self._held.values())}
            decided = {each.pair for each in (*batch.settlements.values(), *self._settlements.waiting())}
            ahead = self._ahead.pairs(worker)
            if kept := restoring.claim_again(connection, worker, held | decided | ahead):
                logger.warning("The database had forgotten %d claims; they are made again.", kept)

    def _release(self, messages: Sequence[Claimed]) -> None:
        for message in messages:
            pair = (message.id, message.token)
            self._settlements.add(f"{message.id}-{message.token}", Settlement(Verb.RELEASE, pair))

    def _next_token(self) -> int:
        """New at every claim, and greater than the one before; see `restoring.restore`."""
        with self._lock:
            self._token = max(self._token + 1, time.time_ns() // 1000 << 10 | secrets.randbits(10))
            return self._token
