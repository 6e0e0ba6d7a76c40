"""Delayed messages: those that are due become ready, and the others say when to look again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celeriac.broker import clock
from celeriac.broker.queries.base import STEP, Queries


@dataclass(frozen=True, slots=True)
class Due:
    """The outcome of a look."""

    promoted: int
    #: Seconds until the soonest of the others is due; None: there is none.
    wait_seconds: float | None


def promote(connection: Any, queries: Queries, queues: Sequence[str]) -> Due:
    """Make due messages ready, in steps that each commit by themselves."""
    promoted, step = 0, STEP
    wait = queries.next_due(connection, queues, clock.now())
    # A step that is not full: another worker is promoting the rest.
    while wait == 0 and step == STEP:
        step = queries.promote(connection, clock.now())
        promoted += step
        wait = queries.next_due(connection, queues, clock.now())
    return Due(promoted, None if wait is None else wait / clock.MICROSECONDS)
