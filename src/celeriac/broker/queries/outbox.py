"""Statements for the outbox: what is written there, claimed by whoever sends it, and deleted when it is sent.

A row has one holder at a time, and every change names the holder: who was slow and comes back finds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import by_key
from celeriac.broker.queries.base import execute, fetch, marks
from celeriac.database.inserting import Insert, Target

#: Holders of these numbers are of this kind: a publisher, and from the second one on a worker.
NOBODY, REFUSED, FIRST_WORKER = 0, -1, 1 << 62

#: What its column holds; a queue that stays full refuses a message so often within two days.
_MOST_REFUSALS = 2**15 - 1

#: Without marks around the names: none of them is reserved on any database.
_ROWS = Target(
    "celeriac_outbox",
    mark="",
    columns=(
        ("holder", "bigint"),
        ("place", "integer"),
        ("queue", "varchar"),
        ("task_id", "varchar"),
        ("task_name", "varchar"),
        ("payload", "text"),
        ("refusals", "smallint"),
        ("reason", "text"),
    ),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that belongs to whoever claimed it."""

    id: int
    task_id: str | None
    task_name: str | None
    payload: str
    refusals: int
    #: As the database says it: SQLite and MariaDB with a number.
    is_revoked: bool | int


def rows(given: Sequence[tuple[Any, ...]]) -> Insert:
    """New rows of (holder, place, queue, task_id, task_name, payload, refusals, reason)."""
    return Insert(_ROWS, given)


#: While a worker sends, the others leave the rest to it: so messages keep their order.
_FREE = (
    "FROM celeriac_outbox WHERE holder = 0"
    f" AND NOT EXISTS (SELECT 1 FROM celeriac_outbox WHERE holder >= {FIRST_WORKER})"
)
#: Advisory lock and named lock of those who claim.
_LOCK = (0x43656C66, 0)
_LOCK_NAME = "CONCAT('celeriac-outbox:', MD5(DATABASE()))"


def has_waiting(connection: Connection) -> bool:
    """Whether a claim may find something; takes no lock. Index: celeriac_outbox_next."""
    return bool(fetch(connection, f"SELECT 1 {_FREE} LIMIT 1"))


def claim(connection: Connection, holder: int, limit: int) -> list[Waiting]:
    """Make up to `limit` rows the holder's, in order of their publish; in a transaction of the caller's.

    None while another worker claims or sends. Locks those rows; what somebody else is locking is left out.
    The transaction over, committed or not, `unlock` lets the next worker claim.
    Indexes: celeriac_outbox_next, celeriac_revocation_unique.
    """
    return _claim(connection, holder, limit) if _lock(connection) else []


def unlock(connection: Connection) -> None:
    """Let others claim, outside of any transaction.

    Only MariaDB and MySQL need it, where no such lock ends with the transaction: given up before the commit,
    it would let another worker claim what comes behind rows whose claim it cannot see yet.
    """
    if connection.vendor == "mysql":
        # All of the connection's: a claim that was tried again has taken the lock more than once.
        fetch(connection, "SELECT RELEASE_ALL_LOCKS()")


def _lock(connection: Connection) -> bool:
    """SQLite has one writer at a time."""
    if connection.vendor == "postgresql":
        return bool(fetch(connection, "SELECT pg_try_advisory_xact_lock(%s, %s)", _LOCK)[0][0])
    return connection.vendor == "sqlite" or fetch(connection, f"SELECT GET_LOCK({_LOCK_NAME}, 0)")[0][0] == 1


def _claim(connection: Connection, holder: int, limit: int) -> list[Waiting]:
    skip = " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    found = fetch(
        connection,
        "SELECT id, task_id, task_name, payload, refusals, EXISTS (SELECT 1 FROM celeriac_revocation"
        f" WHERE value = celeriac_outbox.task_id AND header = '') {_FREE} ORDER BY id LIMIT %s{skip}",
        (limit,),
    )
    if found:
        ids = [row[0] for row in found]
        execute(
            connection,
            f"{by_key.update(connection, 'celeriac_outbox')} SET holder = %s WHERE id IN ({marks(ids)})",
            (holder, *ids),
        )
    return [Waiting(*row) for row in found]


def holders(connection: Connection, limit: int) -> list[int]:
    """Who holds rows, refused ones included. Index: celeriac_outbox_next."""
    found = fetch(
        connection, "SELECT DISTINCT holder FROM celeriac_outbox WHERE holder <> 0 LIMIT %s", (limit,)
    )
    return [int(holder) for (holder,) in found]


def give_back(connection: Connection, holder: int) -> int:
    """Make nobody's what the holder still has; how many rows. Index: celeriac_outbox_next."""
    return execute(connection, "UPDATE celeriac_outbox SET holder = 0 WHERE holder = %s", (holder,))


def pass_on(connection: Connection, holder: int, to: int) -> int:
    """Give what the holder still has to another one; how many rows. Index: celeriac_outbox_next."""
    return execute(connection, "UPDATE celeriac_outbox SET holder = %s WHERE holder = %s", (to, holder))


def forget_places(connection: Connection, holder: int, before: int) -> int:
    """Delete what the holder wrote and has sent: all of it up to this place. Index: celeriac_outbox_next."""
    sent = "holder = %s AND place < %s"
    if connection.vendor != "mysql":
        return execute(connection, f"DELETE FROM celeriac_outbox WHERE {sent}", (holder, before))
    # It would wait for what others have not committed.
    found = fetch(connection, f"SELECT id FROM celeriac_outbox WHERE {sent}", (holder, before))
    return forget(connection, holder, [row[0] for row in found]) if found else 0


def forget(connection: Connection, holder: int, ids: Sequence[int]) -> int:
    """Delete rows that were sent, by the primary key."""
    return execute(
        connection,
        f"{by_key.delete_from(connection, 'celeriac_outbox')} WHERE id IN ({marks(ids)}) AND holder = %s",
        (*ids, holder),
    )


def put_off(connection: Connection, holder: int, row: int, reason: str) -> int:
    """Let a row that the broker refused wait, by the primary key; the others go on."""
    return execute(
        connection,
        f"UPDATE celeriac_outbox SET holder = {REFUSED}, reason = %s, refusals = CASE"
        f" WHEN refusals < {_MOST_REFUSALS} THEN refusals + 1 ELSE refusals END"
        " WHERE id = %s AND holder = %s",
        (reason, row, holder),
    )


def bury(connection: Connection, holder: int, row: int, reason: str, now: int) -> int:
    """Move a row to the dead letters, by the primary key; in a transaction of the caller's."""
    execute(
        connection,
        "INSERT INTO celeriac_deadletter"
        " (queue, task_id, task_name, payload, deliveries, reason, died_at)"
        " SELECT queue, task_id, task_name, payload, 0, %s, %s FROM celeriac_outbox"
        " WHERE id = %s AND holder = %s",
        (reason, now, row, holder),
    )
    return forget(connection, holder, [row])
