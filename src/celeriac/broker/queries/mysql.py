"""MariaDB and MySQL: no UPDATE … RETURNING, so a claim reads with a lock, then changes, in a transaction."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import base, by_key
from celeriac.broker.queries.choice import EVERYTHING, Choice

_COLUMNS = ", ".join(f"message.{column}" for column in base.CLAIMED_COLUMNS.split(", "))


class MysqlQueries(base.Queries):
    """What differs on MariaDB and MySQL."""

    # SYSDATE, not NOW(): the latter stands still within a statement of a trigger or a function.
    now = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"

    def check_version(self, connection: Connection) -> str | None:
        version = connection.mysql_version  # type: ignore[attr-defined]  # of Django's MySQL wrapper
        maria = connection.mysql_is_mariadb  # type: ignore[attr-defined]  # of Django's MySQL wrapper
        name, oldest = ("MariaDB", (10, 6)) if maria else ("MySQL", (8, 0, 1))
        if version >= oldest:
            return None
        return (
            f"{name} {'.'.join(map(str, version))} is too old: Celeriac needs {'.'.join(map(str, oldest))}."
        )

    def claim(
        self,
        connection: Connection,
        queues: Sequence[str],
        limit: int,
        worker: int,
        token: int,
        choice: Choice | None = None,
    ) -> list[base.Claimed]:
        rows = self._lock_soonest(connection, queues, limit, worker, choice or EVERYTHING)
        if rows:
            base.execute(
                connection,
                f"{by_key.update(connection, 'celeriac_message')} SET state = 2, claimed_by = %s,"
                " claim_token = %s,"
                f" deliveries = deliveries + 1 WHERE id IN ({base.marks(rows)})",
                (worker, token, *[row[0] for row in rows]),
            )
        return base.in_order([_taken(row, token) for row in rows])

    def _lock_soonest(
        self, connection: Connection, queues: Sequence[str], limit: int, worker: int, only: Choice
    ) -> list[tuple[Any, ...]]:
        """Read the soonest of all queues without a lock, and lock what is claimed, by the primary key.

        Locks taken while the index is read would be on every queue's soonest, and on the index as well.
        """
        near = (
            f"(SELECT id, turn, {base.place_in(None, 'one')} FROM (SELECT id, turn FROM celeriac_message"
            f" WHERE queue = %s AND {base.READY}{only.sql} ORDER BY turn, id LIMIT %s) AS one)"
        )
        candidates = " UNION ALL ".join([near] * len(queues))
        spare = base.with_spare(limit)
        return base.fetch(
            connection,
            f"SELECT {_COLUMNS} FROM (SELECT id, turn FROM ({candidates}) AS near"
            " ORDER BY turn, place, id LIMIT %s)"
            " AS soonest STRAIGHT_JOIN celeriac_message AS message ON message.id = soonest.id"
            " WHERE message.state = 1"
            " AND EXISTS (SELECT 1 FROM celeriac_worker WHERE id = %s AND NOT is_lost)"
            # In the order of the inner part: sorted once more, it would lock every candidate.
            " LIMIT %s FOR UPDATE SKIP LOCKED",
            (*_near(queues, only, spare), spare, worker, limit),
        )

    def promote(self, connection: Connection, now: int) -> int:
        # Read without a lock: one on what a publisher has not committed would wait for it.
        due = base.fetch(
            connection,
            f"SELECT id FROM celeriac_message WHERE state = 0 AND available_at <= {self.now}"
            f" ORDER BY available_at LIMIT {base.STEP}",
        )
        return self._if_still(connection, due, by_key.update, " SET state = 1", "state = 0")

    def purge(self, connection: Connection, queue: str) -> int:
        deleted = 0
        # Others may claim what was found: only where nothing is found is nothing left.
        while deleted < base.STEP and (waiting := self._waiting(connection, queue, base.STEP - deleted)):
            deleted += self._if_still(connection, waiting, by_key.delete_from, "", "state IN (0, 1)")
        return deleted

    def _waiting(self, connection: Connection, queue: str, limit: int) -> list[tuple[Any, ...]]:
        return base.fetch(
            connection,
            f"SELECT id FROM celeriac_message WHERE queue = %s AND state IN (0, 1) LIMIT {limit}",
            (queue,),
        )

    def _if_still(
        self,
        connection: Connection,
        found: Sequence[tuple[Any, ...]],
        verb: Callable[[Connection, str], str],
        changes: str,
        condition: str,
    ) -> int:
        """Change what was read before and is still as it was."""
        if not found:
            return 0
        ids = [row[0] for row in found]
        return base.execute(
            connection,
            f"{verb(connection, 'celeriac_message')}{changes}"
            f" WHERE id IN ({base.marks(ids)}) AND {condition}",
            ids,
        )

    def fence(self, held: Sequence[tuple[int, int]]) -> str:
        pairs = ", ".join(["(%s, %s)"] * len(held))
        return f"id IN ({base.marks(held)}) AND (id, claim_token) IN ({pairs})"

    def try_lock(self, connection: Connection, name: str) -> bool:
        """Take a named lock of the session, if nobody has it."""
        return base.fetch(connection, "SELECT GET_LOCK(%s, 0)", (name,))[0][0] == 1

    def unlock(self, connection: Connection, name: str) -> None:
        base.fetch(connection, "SELECT RELEASE_LOCK(%s)", (name,))


def _near(queues: Sequence[str], only: Choice, limit: int) -> list[Any]:
    return [value for queue in queues for value in (queue, *only.values, limit)]


def _taken(row: tuple[Any, ...], token: int) -> tuple[Any, ...]:
    """The row as the change leaves it: one more delivery, and the token of this claim."""
    *others, deliveries, expires_at, task_id, task_name, _ = row
    return (*others, deliveries + 1, expires_at, task_id, task_name, token)
