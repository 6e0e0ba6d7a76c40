"""Where a claim begins in the index while PostgreSQL may clean up nothing.

As long as anybody's transaction stays open, every message that was finished since is still in the index,
and a claim reads over all of them to the first that waits. Whoever notices that begins where it found
something the last time. A message below, which was given back or committed late, is found by the whole
look, once a second.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from celeriac.broker.queries.base import Claimed

#: A claim that took longer had much to read over; one beside 200,000 waiting messages takes a fifth of it.
SLOW_SECONDS = 0.01
#: How long what is below may wait: as long as for the slow poll.
_WHOLE_LOOK_SECONDS = 1.0
#: Transactions end in another order than their messages were numbered.
_SLACK = 1000

#: Below every message.
Floor = tuple[int, int]
BOTTOM: Floor = (-(2**15), -(2**63))


@dataclass(slots=True)
class _Known:
    turn_and_id: Floor
    whole_look_at: float


class Floors:
    """Of one process; whoever reads an old floor only reads more."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[tuple[str, str], _Known] = {}

    def of(self, alias: str, queues: Sequence[str]) -> dict[str, Floor]:
        """A floor for each queue; BOTTOM where all of it is to be read."""
        now = self._now()
        known = {queue: self._known.get((alias, queue)) for queue in queues}
        return {
            queue: each.turn_and_id if each and now < each.whole_look_at else BOTTOM
            for queue, each in known.items()
        }

    def learn(
        self, alias: str, floors: Mapping[str, Floor], claimed: Sequence[Claimed], seconds: float
    ) -> None:
        """Take in what a claim found from these floors on, and how long it took."""
        lowest = _lowest(claimed)
        for queue, floor in floors.items():
            key, known = (alias, queue), self._known.get((alias, queue))
            found = lowest.get(queue) or (known.turn_and_id if known else None)
            if floor != BOTTOM:
                if known and found:
                    known.turn_and_id = found
            elif seconds <= SLOW_SECONDS:
                self._known.pop(key, None)
            elif found:
                self._known[key] = _Known(found, self._now() + _WHOLE_LOOK_SECONDS)


def _lowest(claimed: Sequence[Claimed]) -> dict[str, Floor]:
    """Of each queue the highest turn and its lowest id: the turns before it are read whole."""
    found: dict[str, Floor] = {}
    for each in claimed:
        turn, lowest = found.get(each.queue, BOTTOM)
        if each.turn > turn:
            found[each.queue] = (each.turn, each.id - _SLACK)
        elif each.turn == turn:
            found[each.queue] = (turn, min(lowest, each.id - _SLACK))
    return found
