"""What this process has decided about its messages and not yet written.

A decision outlives a lost connection: it is written when the database is back. Otherwise a message
would stay claimed by a worker that lives and has forgotten it, and nobody would ever give it back.
"""

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from celeriac.broker import clock
from celeriac.broker.queries import restoring
from celeriac.broker.queries.base import STEP, Queries

logger = logging.getLogger(__name__)

#: A message's id and the token of its claim.
Pair = tuple[int, int]


class Verb(Enum):
    """How a message's delivery ends."""

    ACK = "ack"
    RELEASE = "release"
    REQUEUE = "requeue"
    BURY = "bury"


@dataclass(frozen=True, slots=True)
class Settlement:
    """One decision."""

    verb: Verb
    pair: Pair
    reason: str = ""


@dataclass(slots=True)
class Batch:
    """Decisions taken out to be written together."""

    settlements: dict[str, Settlement] = field(default_factory=dict)
    #: (worker, token) of claims whose outcome is unknown.
    doubtful: list[Pair] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.settlements or self.doubtful)

    def acknowledge(self, pairs: Mapping[str, Pair], tags: Iterable[str] = ()) -> None:
        """Messages that are done besides; of `tags` only those that were to be given back."""
        for tag, pair in pairs.items():
            self.settlements.setdefault(tag, Settlement(Verb.ACK, pair))
        for tag in tags:
            decided = self.settlements.get(tag)
            if decided is not None and decided.verb is Verb.RELEASE:
                self.settlements[tag] = Settlement(Verb.ACK, decided.pair)

    def pairs(self, verb: Verb) -> list[Pair]:
        return [each.pair for each in self.settlements.values() if each.verb is verb]

    def buried(self) -> dict[str, list[Pair]]:
        """What goes to the dead letters, by its reason."""
        found: dict[str, list[Pair]] = {}
        for each in self.settlements.values():
            if each.verb is Verb.BURY:
                found.setdefault(each.reason, []).append(each.pair)
        return found


class Settlements:
    """Safe in every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batch = Batch()

    def add(self, tag: str, settlement: Settlement) -> None:
        with self._lock:
            self._batch.settlements[tag] = settlement

    def ack_after_all(self, tag: str) -> bool:
        """Turn a decision that is not yet written into an ack; False: there is none."""
        with self._lock:
            decided = self._batch.settlements.get(tag)
            if decided is not None:
                self._batch.settlements[tag] = Settlement(Verb.ACK, decided.pair)
            return decided is not None

    def doubt(self, worker: int, token: int) -> None:
        """A claim failed in a way that may have succeeded: undo whatever it took."""
        with self._lock:
            self._batch.doubtful.append((worker, token))

    def are_waiting(self) -> bool:
        """Whether a decision about a message is not written."""
        return bool(self._batch.settlements)

    def waiting(self) -> list[Settlement]:
        """The decisions that are not written."""
        with self._lock:
            return list(self._batch.settlements.values())

    def take(self) -> Batch:
        """Everything that is not written; whoever takes it writes it or puts it back."""
        with self._lock:
            batch, self._batch = self._batch, Batch()
        return batch

    def put_back(self, batch: Batch) -> None:
        """For the next time; a newer decision about the same message stands."""
        with self._lock:
            batch.settlements.update(self._batch.settlements)
            batch.doubtful += self._batch.doubtful
            self._batch = batch


def write(connection: Any, queries: Queries, batch: Batch) -> None:
    """Write the decisions, in the caller's transaction."""
    for pairs in _steps(batch.pairs(Verb.ACK)):
        if queries.ack(connection, pairs) < len(pairs):
            logger.warning("Some acks came too late: the messages had been given to another worker.")
    for pairs in _steps(batch.pairs(Verb.RELEASE)):
        queries.release(connection, pairs)
    for pairs in _steps(batch.pairs(Verb.REQUEUE)):
        queries.requeue(connection, pairs)
    for reason, buried in batch.buried().items():
        for pairs in _steps(buried):
            queries.bury(connection, pairs, reason, clock.now())
    for worker, token in batch.doubtful:
        restoring.undo_claim(connection, worker, token)


def _steps(pairs: list[Pair]) -> list[list[Pair]]:
    # Four parameters a pair, and some builds of SQLite bind 999 at most.
    size = STEP // 4 - 1
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]
