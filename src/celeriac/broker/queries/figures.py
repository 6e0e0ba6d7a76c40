"""Queries about the queues as a whole, for people and monitors: how much waits, since when, who is there.

A number of statements that depends on the number of queues alone, each by an index: what waits is counted in
the index that claims it, and its rows are not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries.base import READY, fetch, marks

#: Of each turn of a queue the first ones are asked since when they wait. Ids grow as messages are published;
#: what was delayed has a small one and may wait for a moment only.
_FIRST = 100
#: Parts of a statement: SQLite takes 500.
_PARTS = 100


@dataclass(slots=True)
class Depth:
    """The messages of a queue."""

    ready: int = 0
    delayed: int = 0
    claimed: int = 0
    #: Since when the oldest one is ready, in microseconds ago; None: none is.
    oldest: int | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """A worker's row."""

    id: int
    node: str
    host: str
    pid: int
    pool: str
    concurrency: int
    queues: str
    is_lost: bool
    #: By its host's clock.
    started_at: int
    #: When its heart beat last, by the database's clock; None: it has not.
    beaten_at: int | None


def depths(connection: Connection, now: int) -> dict[str, Depth]:
    """The messages of each queue that has any; `now` is the database's. One that is due counts as ready.

    Indexes: celeriac_message_next, _due and _claimed.
    """
    found: dict[str, Depth] = {}
    turns: list[tuple[str, int]] = []
    for queue, state, turn, count in _counted(connection):
        depth = found.setdefault(queue, Depth())
        if state == 0:
            depth.delayed += count
        else:
            depth.ready += count
            turns.append((queue, turn))
    for queue, count in _claimed(connection):
        found.setdefault(queue, Depth()).claimed = count
    for queue, count, since in _due(connection, now):
        # Published since the first statement, it is not among the delayed there.
        depth = found.setdefault(queue, Depth())
        depth.delayed = max(0, depth.delayed - count)
        depth.ready += count
        _grow(depth, now - since)
    for queue, since in _oldest(connection, turns):
        _grow(found[queue], now - since)
    return found


def dead(connection: Connection) -> dict[str, int]:
    """The dead letters of each queue that has any. Index: celeriac_deadletter_queue."""
    return dict(fetch(connection, "SELECT queue, COUNT(*) FROM celeriac_deadletter GROUP BY queue"))


def lives(connection: Connection) -> list[Life]:
    """The rows of all workers: a handful, and those that were lost within a day."""
    rows = fetch(
        connection,
        "SELECT id, node, host, pid, pool, concurrency, queues, is_lost, started_at, beaten_at"
        " FROM celeriac_worker ORDER BY node, id",
    )
    return [Life(*row) for row in rows]


def claimed_tasks(connection: Connection, workers: Sequence[int], most: int) -> list[tuple[int, str]]:
    """Worker and task of what workers hold, `most` at the most. Index: celeriac_message_claimed."""
    rows = fetch(
        connection,
        f"SELECT claimed_by, task_id FROM celeriac_message WHERE claimed_by IN ({marks(workers)})"
        f" LIMIT {int(most)}",
        workers,
    )
    return [(worker, task_id) for worker, task_id in rows if task_id]


def _counted(connection: Connection) -> list[tuple[str, int, int, int]]:
    return fetch(
        connection,
        "SELECT queue, state, turn, COUNT(*) FROM celeriac_message WHERE state IN (0, 1)"
        " GROUP BY queue, state, turn",
    )


def _claimed(connection: Connection) -> list[tuple[str, int]]:
    return fetch(
        connection,
        "SELECT queue, COUNT(*) FROM celeriac_message WHERE claimed_by IS NOT NULL GROUP BY queue",
    )


def _due(connection: Connection, now: int) -> list[tuple[str, int, int]]:
    """What is due and nobody has made ready: nobody reads the queues."""
    # A bound time: the server's own function stands still in no statement, and goes by no index.
    return fetch(
        connection,
        "SELECT queue, COUNT(*), MIN(available_at) FROM celeriac_message"
        " WHERE state = 0 AND available_at <= %s GROUP BY queue",
        (now,),
    )


def _oldest(connection: Connection, turns: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    # By a constant PostgreSQL would read the table in the order of its key; in a range MariaDB sorts.
    of_turn = "turn BETWEEN %s AND %s" if connection.vendor == "postgresql" else "turn IN (%s, %s)"
    part = (
        f"SELECT %s AS queue, MIN(available_at) AS since FROM (SELECT available_at FROM celeriac_message"
        f" WHERE queue = %s AND {READY} AND {of_turn} ORDER BY turn, id LIMIT {_FIRST}) AS first"
    )
    found = []
    for start in range(0, len(turns), _PARTS):
        step = turns[start : start + _PARTS]
        values = [value for queue, turn in step for value in (queue, queue, turn, turn)]
        # Whoever was quicker has taken them.
        rows = fetch(connection, " UNION ALL ".join([part] * len(step)), values)
        found += [(queue, since) for queue, since in rows if since is not None]
    return found


def _grow(depth: Depth, oldest: int) -> None:
    depth.oldest = max(0, oldest, depth.oldest or 0)
