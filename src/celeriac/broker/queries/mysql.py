"""MariaDB and MySQL: no UPDATE … RETURNING, so a claim locks, changes and reads in a transaction."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import base


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
        self, connection: Connection, queues: Sequence[str], limit: int, worker: int, token: int
    ) -> list[base.Claimed]:
        alive = base.fetch(
            connection, "SELECT 1 FROM celeriac_worker WHERE id = %s AND NOT is_lost", (worker,)
        )
        ids = self._lock_soonest(connection, queues, limit) if alive else []
        if not ids:
            return []
        chosen = f"id IN ({base.marks(ids)})"
        base.execute(
            connection,
            "UPDATE celeriac_message SET state = 2, claimed_by = %s, claim_token = %s,"
            f" deliveries = deliveries + 1 WHERE {chosen}",
            (worker, token, *ids),
        )
        rows = base.fetch(
            connection, f"SELECT {base.CLAIMED_COLUMNS} FROM celeriac_message WHERE {chosen}", ids
        )
        return base.in_order(rows)

    def _lock_soonest(self, connection: Connection, queues: Sequence[str], limit: int) -> list[int]:
        soonest: list[tuple[int, int]] = []
        for queue in queues:
            soonest += base.fetch(
                connection,
                "SELECT turn, id FROM celeriac_message WHERE queue = %s AND state = 1"
                " ORDER BY turn, id LIMIT %s FOR UPDATE SKIP LOCKED",
                (queue, limit),
            )
        return [message for _, message in sorted(soonest)[:limit]]

    def promote(self, connection: Connection, now: int) -> int:
        return base.execute(
            connection,
            f"UPDATE celeriac_message SET state = 1 WHERE state = 0 AND available_at <= {self.now}"
            f" ORDER BY available_at LIMIT {base.STEP}",
        )

    def purge(self, connection: Connection, queue: str) -> int:
        return base.execute(
            connection,
            f"DELETE FROM celeriac_message WHERE queue = %s AND state IN (0, 1) LIMIT {base.STEP}",
            (queue,),
        )

    def fence(self, held: Sequence[tuple[int, int]]) -> str:
        pairs = ", ".join(["(%s, %s)"] * len(held))
        return f"id IN ({base.marks(held)}) AND (id, claim_token) IN ({pairs})"

    def try_lock(self, connection: Connection, name: str) -> bool:
        """Take a named lock of the session, if nobody has it."""
        return base.fetch(connection, "SELECT GET_LOCK(%s, 0)", (name,))[0][0] == 1

    def unlock(self, connection: Connection, name: str) -> None:
        base.fetch(connection, "SELECT RELEASE_LOCK(%s)", (name,))
