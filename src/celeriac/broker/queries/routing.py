"""Statements for queues, their bindings to exchanges, and the messages of transient queues."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import by_key
from celeriac.broker.queries.base import STEP, execute, fetch, marks


@dataclass(frozen=True, slots=True)
class Bound:
    """A queue bound to an exchange."""

    exchange: str
    exchange_type: str
    routing_key: str
    queue: str
    is_transient: bool
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class NewCopy:
    """A message for transient queues."""

    turn: int
    payload: str
    expires_at: int


def declare_queue(connection: Connection, name: str, message_ttl: int | None) -> None:
    """Remember the queue; one that is known already gets the new time to live."""
    known = fetch(connection, "SELECT message_ttl FROM celeriac_queue WHERE name = %s", (name,))
    if not known:
        execute(
            connection,
            f"INSERT INTO celeriac_queue (name, message_ttl) VALUES (%s, %s) {_or_keep(connection, 'name')}",
            (name, message_ttl),
        )
    elif known[0][0] != message_ttl:
        execute(connection, "UPDATE celeriac_queue SET message_ttl = %s WHERE name = %s", (message_ttl, name))


def queue(connection: Connection, name: str) -> tuple[int | None] | None:
    """(message_ttl,) of a known queue."""
    rows = fetch(connection, "SELECT message_ttl FROM celeriac_queue WHERE name = %s", (name,))
    return (rows[0][0],) if rows else None


def drop_claimed(connection: Connection, queue: str) -> int:
    """Delete what is claimed from a deleted queue, at most STEP: nobody would read what comes back to it."""
    # Two statements: MariaDB knows no LIMIT in a sub-select of DELETE.
    rows = fetch(
        connection,
        f"SELECT id FROM celeriac_message WHERE queue = %s AND state = 2 LIMIT {STEP}",
        (queue,),
    )
    ids = [row[0] for row in rows]
    if ids:
        _delete(connection, "celeriac_message", ids)
    return len(ids)


def forget_queue(connection: Connection, name: str) -> None:
    """Delete the queue and its bindings; its messages are deleted by their own statements."""
    execute(connection, "DELETE FROM celeriac_binding WHERE queue = %s", (name,))
    execute(connection, "DELETE FROM celeriac_broadcast WHERE queue = %s", (name,))
    execute(connection, "DELETE FROM celeriac_queue WHERE name = %s", (name,))


def bind(connection: Connection, bound: Bound) -> None:
    """Store the binding, or move its expiry on; a lasting one that is there is not written again."""
    if bound.expires_at is None and _is_lasting(connection, bound):
        return
    execute(
        connection,
        "INSERT INTO celeriac_binding (exchange, exchange_type, routing_key, queue, is_transient, expires_at)"
        f" VALUES (%s, %s, %s, %s, %s, %s) {_or_renew(connection)}",
        (
            bound.exchange,
            bound.exchange_type,
            bound.routing_key,
            bound.queue,
            bound.is_transient,
            bound.expires_at,
        ),
    )


def unbind(connection: Connection, exchange: str, routing_key: str, queue: str) -> None:
    execute(
        connection,
        "DELETE FROM celeriac_binding WHERE exchange = %s AND routing_key = %s AND queue = %s",
        (exchange, routing_key, queue),
    )


def bindings(connection: Connection, exchange: str, now: int) -> list[Bound]:
    """The live bindings of an exchange. Index: celeriac_binding_unique."""
    rows = fetch(
        connection,
        "SELECT exchange, exchange_type, routing_key, queue, is_transient, expires_at FROM celeriac_binding"
        " WHERE exchange = %s AND (expires_at IS NULL OR expires_at > %s)",
        (exchange, now),
    )
    return [Bound(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) for row in rows]


def default_bindings(connection: Connection, queue: str, now: int) -> list[Bound]:
    """The live bindings of a queue to the default exchange. Index: celeriac_binding_unique."""
    rows = fetch(
        connection,
        "SELECT exchange, exchange_type, routing_key, queue, is_transient, expires_at FROM celeriac_binding"
        " WHERE exchange = '' AND routing_key = %s AND (expires_at IS NULL OR expires_at > %s)",
        (queue, now),
    )
    return [Bound(row[0], row[1], row[2], row[3], bool(row[4]), row[5]) for row in rows]


def is_bound(connection: Connection, name: str) -> bool:
    """Whether any binding names the queue."""
    return bool(fetch(connection, "SELECT 1 FROM celeriac_binding WHERE queue = %s LIMIT 1", (name,)))


def broadcast(connection: Connection, queues: Sequence[str], copy: NewCopy) -> None:
    """Put a copy into each transient queue, in one statement."""
    rows = ", ".join(["(%s, %s, %s, %s)"] * len(queues))
    parameters = [value for queue in queues for value in (queue, copy.turn, copy.payload, copy.expires_at)]
    execute(
        connection,
        f"INSERT INTO celeriac_broadcast (queue, turn, payload, expires_at) VALUES {rows}",
        parameters,
    )


def collect(
    connection: Connection, queues: Sequence[str], limit: int, now: int
) -> list[tuple[int, str, str]]:
    """Take messages out of transient queues: (id, queue, payload), soonest first."""
    rows = fetch(
        connection,
        f"SELECT id, queue, payload FROM celeriac_broadcast WHERE queue IN ({marks(queues)})"
        f" AND expires_at > %s ORDER BY turn, id LIMIT {int(limit)}",
        (*queues, now),
    )
    if rows:
        ids = [row[0] for row in rows]
        _delete(connection, "celeriac_broadcast", ids)
    return [(row[0], row[1], row[2]) for row in rows]


def waiting(connection: Connection, queues: Sequence[str], now: int) -> bool:
    """Whether a collect would find something; takes no lock."""
    return bool(
        fetch(
            connection,
            f"SELECT 1 FROM celeriac_broadcast WHERE queue IN ({marks(queues)}) AND expires_at > %s LIMIT 1",
            (*queues, now),
        )
    )


def count(connection: Connection, queue: str) -> int:
    rows = fetch(connection, "SELECT COUNT(*) FROM celeriac_broadcast WHERE queue = %s", (queue,))
    return int(rows[0][0])


def drop(connection: Connection, queue: str) -> int:
    """Delete the messages of a transient queue."""
    return execute(connection, "DELETE FROM celeriac_broadcast WHERE queue = %s", (queue,))


def sweep(connection: Connection, now: int) -> None:
    """Delete what nobody has read in time: transient bindings and their messages."""
    execute(
        connection, "DELETE FROM celeriac_binding WHERE expires_at IS NOT NULL AND expires_at <= %s", (now,)
    )
    # Two statements: MariaDB knows no LIMIT in a sub-select of DELETE.
    rows = fetch(connection, f"SELECT id FROM celeriac_broadcast WHERE expires_at <= %s LIMIT {STEP}", (now,))
    if rows:
        ids = [row[0] for row in rows]
        _delete(connection, "celeriac_broadcast", ids)


def _delete(connection: Connection, table: str, ids: Sequence[int]) -> None:
    execute(connection, f"{by_key.delete_from(connection, table)} WHERE id IN ({marks(ids)})", ids)


def _is_lasting(connection: Connection, bound: Bound) -> bool:
    """Whether the binding is there and does not expire. Index: celeriac_binding_unique."""
    return bool(
        fetch(
            connection,
            "SELECT 1 FROM celeriac_binding WHERE exchange = %s AND routing_key = %s AND queue = %s"
            " AND expires_at IS NULL",
            (bound.exchange, bound.routing_key, bound.queue),
        )
    )


def _or_keep(connection: Connection, column: str) -> str:
    if connection.vendor == "mysql":
        return f"ON DUPLICATE KEY UPDATE {column} = {column}"
    return "ON CONFLICT DO NOTHING"


def _or_renew(connection: Connection) -> str:
    if connection.vendor == "mysql":
        return "ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at)"
    return "ON CONFLICT (exchange, routing_key, queue) DO UPDATE SET expires_at = excluded.expires_at"
