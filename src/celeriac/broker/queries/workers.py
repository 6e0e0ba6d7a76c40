"""Statements for the rows of workers: birth, heartbeat, loss, farewell."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import clock
from celeriac.broker.queries.base import Queries, execute, fetch

_COLUMNS = "id, node, host, pid, heartbeat, has_lock, started_at, concurrency"


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker's row, as the others see it."""

    id: int
    node: str
    host: str
    pid: int
    heartbeat: int
    has_lock: bool
    #: By its host's clock.
    started_at: int
    #: How many tasks it may run at once; 0: nobody knows.
    concurrency: int = 0


def register(connection: Connection, node: str, host: str, pid: int, now: int) -> int:
    """Add a row for this life of the process; its id."""
    parameters = (node, host, pid, 0, False, False, now, "", 0, "")
    sql = (
        "INSERT INTO celeriac_worker (node, host, pid, heartbeat, has_lock, is_lost, started_at, pool,"
        " concurrency, queues) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    )
    if connection.features.can_return_columns_from_insert:
        return int(fetch(connection, f"{sql} RETURNING id", parameters)[0][0])
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.lastrowid)


def describe(connection: Connection, worker: int, pool: str, concurrency: int, queues: Sequence[str]) -> None:
    """Write down what the worker runs with."""
    execute(
        connection,
        "UPDATE celeriac_worker SET pool = %s, concurrency = %s, queues = %s WHERE id = %s",
        (pool, concurrency, ",".join(queues), worker),
    )


def beat(connection: Connection, queries: Queries, worker: int, *, has_lock: bool) -> bool:
    """Count the heartbeat up; False: the others hold this worker for lost."""
    return bool(
        execute(
            connection,
            f"UPDATE celeriac_worker SET heartbeat = heartbeat + 1, beaten_at = {queries.now}, has_lock = %s"
            " WHERE id = %s AND NOT is_lost",
            (*queries.parameters_of_now(clock.now()), has_lock, worker),
        )
    )


def alive(connection: Connection, queries: Queries, within: int) -> list[list[str]]:
    """The queues of each worker whose heart has beaten within so many microseconds; no lock, few rows."""
    rows = fetch(
        connection,
        "SELECT queues FROM celeriac_worker"
        f" WHERE NOT is_lost AND pool <> '' AND beaten_at >= {queries.now} - %s",
        (*queries.parameters_of_now(clock.now()), within),
    )
    return [row[0].split(",") for row in rows]


def peers(connection: Connection, worker: int) -> list[Peer]:
    """The other live workers."""
    return _peers(connection, "id <> %s AND NOT is_lost", (worker,))


def namesakes(connection: Connection, node: str) -> list[Peer]:
    """The live workers with this node name."""
    return _peers(connection, "node = %s AND NOT is_lost", (node,))


def lose(connection: Connection, worker: int) -> bool:
    """Mark a worker lost; False: somebody else did, or it said farewell."""
    return bool(
        execute(
            connection,
            "UPDATE celeriac_worker SET is_lost = %s WHERE id = %s AND NOT is_lost",
            (True, worker),
        )
    )


def forget(connection: Connection, worker: int) -> None:
    """Delete the row of a worker that ended in order."""
    execute(connection, "DELETE FROM celeriac_worker WHERE id = %s", (worker,))


def forget_lost(connection: Connection, before: int) -> None:
    """Delete rows of lost workers that nobody needs any more; `before` is their start."""
    execute(connection, "DELETE FROM celeriac_worker WHERE is_lost AND started_at < %s", (before,))


def _peers(connection: Connection, condition: str, parameters: Sequence[object]) -> list[Peer]:
    rows = fetch(connection, f"SELECT {_COLUMNS} FROM celeriac_worker WHERE {condition}", parameters)
    return [Peer(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7]) for row in rows]
