"""PostgreSQL: SKIP LOCKED claims, the server's clock, LISTEN/NOTIFY, advisory locks."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import base
from celeriac.broker.queries.choice import EVERYTHING, Choice
from celeriac.broker.queries.floors import BOTTOM, Floor, Floors

_OLDEST = 130000
#: One constant channel: its name is never built from data, and nobody listens in vain.
CHANNEL = "celeriac"
#: For the transaction of this statement alone: its commit does not wait for the disk.
_QUICKLY = "set_config('synchronous_commit', 'off', true)"


class PostgresqlQueries(base.Queries):
    """What differs on PostgreSQL."""

    # clock_timestamp, not now(): the latter stands still within a transaction.
    now = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
    _skip_locked = " FOR UPDATE SKIP LOCKED"
    _in_order = " ORDER BY state, turn, id"

    def __init__(self) -> None:
        self._floors = Floors()

    def check_version(self, connection: Connection) -> str | None:
        version = base.fetch(connection, "SELECT current_setting('server_version_num')::int")[0][0]
        if version >= _OLDEST:
            return None
        return f"PostgreSQL {version // 10000} is too old: Celeriac needs 13 or newer."

    def claim(
        self,
        connection: Connection,
        queues: Sequence[str],
        limit: int,
        worker: int,
        token: int,
        choice: Choice | None = None,
    ) -> list[base.Claimed]:
        if choice is not None:
            # What it leaves out it reads over by choice.
            return self._claim_soonest(connection, *_chosen(queues, limit, choice), worker, token)
        floors = self._floors.of(connection.alias, queues)
        started = time.monotonic()
        claimed = self._claim_from(connection, floors, limit, worker, token)
        self._floors.learn(connection.alias, floors, claimed, time.monotonic() - started)
        return claimed

    def _claim_from(
        self, connection: Connection, floors: Mapping[str, Floor], limit: int, worker: int, token: int
    ) -> list[base.Claimed]:
        if all(floor == BOTTOM for floor in floors.values()):
            soonest, wanted = (_of_one if len(floors) == 1 else _of_several)(list(floors), limit)
        else:
            soonest, wanted = _from_floors(floors, limit)
        return self._claim_soonest(connection, soonest, wanted, worker, token)

    def _claim_soonest(
        self, connection: Connection, soonest: str, wanted: tuple[Any, ...], worker: int, token: int
    ) -> list[base.Claimed]:
        columns = ", ".join(f"message.{column}" for column in base.CLAIMED_COLUMNS.split(", "))
        # After a crash of the server a claim that is not on its disk yet was none, and the message is ready.
        quickly = f" CROSS JOIN (SELECT {_QUICKLY}) AS quickly" if _is_alone(connection) else ""
        rows = base.fetch(
            connection,
            # MATERIALIZED: the locking part must run once, whatever the planner thinks of the join.
            f"WITH soonest AS MATERIALIZED ({soonest})"
            " UPDATE celeriac_message AS message SET state = 2, claimed_by = %s, claim_token = %s,"
            f" deliveries = deliveries + 1 FROM soonest{quickly} WHERE message.id = soonest.id"
            " AND EXISTS (SELECT 1 FROM celeriac_worker WHERE id = %s AND NOT is_lost)"
            f" RETURNING {columns}",
            (*wanted, worker, token, worker),
        )
        return base.in_order(rows)

    def fence(self, held: Sequence[tuple[int, int]]) -> str:
        pairs = ", ".join(["(%s::bigint, %s::bigint)"] * len(held))
        return f"id IN ({base.marks(held)}) AND (id, claim_token) IN (VALUES {pairs})"

    def listen(self, connection: Connection) -> None:
        base.execute(connection, f"LISTEN {CHANNEL}")

    def notify(self, connection: Connection, payloads: Sequence[str]) -> None:
        """Takes the lock that all commits with a NOTIFY share, until the commit."""
        base.fetch(
            connection,
            f"SELECT {_QUICKLY if _is_alone(connection) else 'NULL'}, pg_notify('{CHANNEL}', payload)"
            " FROM unnest(%s::text[]) AS payload",
            (list(payloads),),
        )

    def try_lock(self, connection: Connection, space: int, key: int) -> bool:
        """Take the session's advisory lock, if nobody has it."""
        return bool(base.fetch(connection, "SELECT pg_try_advisory_lock(%s, %s)", (space, key))[0][0])

    def unlock(self, connection: Connection, space: int, key: int) -> None:
        base.fetch(connection, "SELECT pg_advisory_unlock(%s, %s)", (space, key))

    def session_id(self, connection: Connection) -> int:
        """The server process behind the connection; a transaction pooler changes it under us."""
        return int(base.fetch(connection, "SELECT pg_backend_pid()")[0][0])


def _is_alone(connection: Connection) -> bool:
    """Whether the next statement is a transaction by itself; acks beside it must reach the disk."""
    # 0 is "idle" for both drivers; psycopg 3 has an enumeration of numbers.
    return bool(connection.connection.info.transaction_status == 0)


def _of_one(queues: Sequence[str], limit: int) -> tuple[str, tuple[Any, ...]]:
    """Locks as many rows as it finds."""
    sql = (
        f"SELECT id FROM celeriac_message WHERE queue = %s AND {base.READY}"
        " ORDER BY turn, id LIMIT %s FOR UPDATE SKIP LOCKED"
    )
    return sql, (queues[0], limit)


def _of_several(queues: Sequence[str], limit: int) -> tuple[str, tuple[Any, ...]]:
    """Reads each queue in the order of the index, no further than the limit, and locks what is claimed."""
    # Locked in the inner part, five queues had five times the locks: 16 ms in place of 7 for 64 messages.
    return _chosen(queues, limit, EVERYTHING)


def _chosen(queues: Sequence[str], limit: int, choice: Choice) -> tuple[str, tuple[Any, ...]]:
    """As of several; what is not chosen is not near."""
    near = base.with_spare(limit)
    lateral = _near(f"TRUE{choice.sql}")
    return _locked(f"unnest(%s::varchar[]) AS wanted(queue) CROSS JOIN LATERAL ({lateral})"), (
        list(queues),
        *choice.values,
        near,
        near,
        limit,
    )


def _from_floors(floors: Mapping[str, Floor], limit: int) -> tuple[str, tuple[Any, ...]]:
    """As of several, but each queue from its floor on, and the more urgent ones whole. See `floors`."""
    turns, ids = zip(*floors.values(), strict=True)
    source = (
        "unnest(%s::varchar[], %s::smallint[], %s::bigint[]) AS wanted(queue, turn, id) CROSS JOIN LATERAL"
        f" (({_near('turn < wanted.turn')}) UNION ALL ({_near('(turn, id) >= (wanted.turn, wanted.id)')}))"
    )
    near = base.with_spare(limit)
    return _locked(source), (list(floors), list(turns), list(ids), near, near, near, limit)


def _near(further: str) -> str:
    return (
        f"SELECT id, turn FROM celeriac_message WHERE queue = wanted.queue AND {base.READY} AND {further}"
        " ORDER BY turn, id LIMIT %s"
    )


def _locked(near: str) -> str:
    """The soonest of what is near, locked by the primary key."""
    return (
        f"SELECT ready.id FROM (SELECT near.id, near.turn, {base.place_in('wanted.queue', 'near')}"
        f" FROM {near} AS near ORDER BY near.turn, place, near.id LIMIT %s) AS soonest"
        # + 0: by the primary key, not by reading all that is ready, whatever the planner thinks of them.
        " JOIN celeriac_message AS ready ON ready.id = soonest.id WHERE ready.state + 0 = 1"
        " ORDER BY soonest.turn, soonest.place, soonest.id LIMIT %s FOR UPDATE OF ready SKIP LOCKED"
    )
