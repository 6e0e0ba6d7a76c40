"""SQLite: one writer at a time, so a claim is one statement, and the clock is this host's."""

from collections.abc import Sequence
from sqlite3 import sqlite_version_info
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import base
from celeriac.broker.queries.choice import EVERYTHING, Choice

#: UPDATE … RETURNING.
_OLDEST = (3, 35)


class SqliteQueries(base.Queries):
    """What differs on SQLite."""

    def check_version(self, connection: Connection) -> str | None:
        version = sqlite_version_info
        if version >= _OLDEST:
            return None
        return f"SQLite {'.'.join(map(str, version))} is too old: Celeriac needs 3.35 or newer."

    def claim(
        self,
        connection: Connection,
        queues: Sequence[str],
        limit: int,
        worker: int,
        token: int,
        choice: Choice | None = None,
    ) -> list[base.Claimed]:
        only = choice or EVERYTHING
        if not self._has_ready(connection, queues, only):
            return []  # Without this look every idle poll would take the write lock of the file.
        soonest = (
            f"SELECT id, turn, {base.place_in(None, 'near')} FROM (SELECT id, turn FROM celeriac_message"
            f" WHERE queue = %s AND {base.READY}{only.sql} ORDER BY turn, id LIMIT %s) AS near"
        )
        candidates = " UNION ALL ".join([soonest] * len(queues))
        rows = base.fetch(
            connection,
            "UPDATE celeriac_message SET state = 2, claimed_by = %s, claim_token = %s,"
            " deliveries = deliveries + 1 WHERE id IN"
            f" (SELECT id FROM ({candidates}) ORDER BY turn, place, id LIMIT %s)"
            " AND EXISTS (SELECT 1 FROM celeriac_worker WHERE id = %s AND NOT is_lost)"
            f" RETURNING {base.CLAIMED_COLUMNS}",
            (worker, token, *_near(queues, only, limit), limit, worker),
        )
        return base.in_order(rows)

    def _has_ready(self, connection: Connection, queues: Sequence[str], only: Choice) -> bool:
        """Whether a claim would find something; takes no lock. Index: celeriac_message_next."""
        return bool(
            base.fetch(
                connection,
                f"SELECT 1 FROM celeriac_message WHERE queue IN ({base.marks(queues)})"
                f" AND {base.READY}{only.sql} LIMIT 1",
                (*queues, *only.values),
            )
        )

    def use_wal(self, connection: Connection) -> bool:
        """Switch the file to WAL, in which readers and the one writer do not wait for each other.

        True when it was not in WAL before and is now. The mode stays with the file.
        """
        before = base.fetch(connection, "PRAGMA journal_mode")[0][0]
        if before.lower() in {"wal", "memory"}:
            return False
        # A file system without shared memory, as one of a network, refuses it by this answer and no error.
        after = base.fetch(connection, "PRAGMA journal_mode = WAL")[0][0]
        return bool(after.lower() == "wal")


def _near(queues: Sequence[str], only: Choice, limit: int) -> list[Any]:
    return [value for queue in queues for value in (queue, *only.values, limit)]
