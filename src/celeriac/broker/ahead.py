"""Messages that are claimed before there is room for them: a busy worker does not wait for its claims.

Claimed with the transaction that writes the acks, for that one is written anyway. No more than what the
worker has done lately: so others get their share, and a message of a higher priority waits no longer.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence

from celeriac.broker.queries.base import Claimed

#: At most, however fast the tasks are.
MOST = 200
#: As many as the worker does in this time, measured over no less than the second one.
_SECONDS = 0.12
_SHORTEST_SECONDS = 0.02
_STALE_SECONDS = 1.0


class Ahead:
    """Safe in every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Claimed] = deque()
        #: The worker that the waiting ones belong to, and since when.
        self._worker = 0
        self._since = 0.0
        #: The queues of the last claim, while more seems to wait in them.
        self.queues: tuple[str, ...] = ()
        #: Counts the stops: what was claimed before one is not wanted after it.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, queues: Sequence[str], limit: int, worker: int) -> list[Claimed]:
        """The first of those queues' messages, if they are still this worker's."""
        if not self._waiting:
            return []
        with self._lock:
            if worker != self._worker:
                # It was held for lost, and its messages were given to others.
                self._waiting.clear()
            wanted = set(queues)
            found, others = list[Claimed](), deque[Claimed]()
            while self._waiting and len(found) < limit:
                message = self._waiting.popleft()
                (found if message.queue in wanted else others).append(message)
            self._waiting.extendleft(reversed(others))
            if found:
                self._since = time.monotonic()
        return found

    def pairs(self, worker: int) -> set[tuple[int, int]]:
        """Id and token of those that wait, if they are still this worker's."""
        with self._lock:
            return {(each.id, each.token) for each in self._waiting} if worker == self._worker else set()

    def wanted(self, done: int, seconds: float) -> int:
        """How many more to claim, for a worker that did so many in that time."""
        rate = done / max(seconds, _SHORTEST_SECONDS)
        return max(0, min(int(rate * _SECONDS), MOST) - len(self._waiting)) if self.queues else 0

    def add(self, claimed: Sequence[Claimed], generation: int, worker: int, *, asked: int) -> bool:
        """Keep what was claimed when so many were asked for; False: there was a stop meanwhile."""
        with self._lock:
            if generation != self.generation:
                return False
            if not self._waiting:
                self._worker, self._since = worker, time.monotonic()
            self._waiting.extend(claimed)
            self.looked(self.queues, asked=asked, found=len(claimed))
        return True

    def looked(self, queues: Sequence[str], *, asked: int, found: int) -> None:
        """A claim found all that it asked for, or came to the end of the queues."""
        self.queues = tuple(queues) if found and found >= asked else ()

    def is_stale(self) -> bool:
        """Whether the worker came to none of them for a second: others may be idle."""
        return bool(self._waiting) and time.monotonic() - self._since > _STALE_SECONDS

    def stop(self) -> list[Claimed]:
        """Claim no more; what nobody has begun with."""
        with self._lock:
            self.generation += 1
            left, self._waiting, self.queues = list(self._waiting), deque(), ()
        return left
