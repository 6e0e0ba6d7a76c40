"""The reference meaning of every statement of the broker, as SQLite and PostgreSQL read it.

Parameters are always bound. Every statement says which index it needs; every one that touches many
rows works in bounded steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import by_key
from celeriac.broker.queries.choice import Choice
from celeriac.database.inserting import Insert, Target, insert_all

#: Rows that one statement changes at most.
STEP = 1000


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to publish; times in microseconds."""

    queue: str
    turn: int
    state: int
    available_at: int
    expires_at: int | None
    published_at: int
    task_id: str | None
    task_name: str | None
    payload: str

    def row(self) -> tuple[Any, ...]:
        """As a row of `messages`."""
        return (
            self.queue,
            self.turn,
            int(self.state),
            self.available_at,
            self.expires_at,
            self.published_at,
            self.task_id,
            self.task_name,
            self.payload,
            0,
        )


#: Without marks around the names: MariaDB has others, and none of them is reserved.
_MESSAGES = Target(
    "celeriac_message",
    mark="",
    columns=(
        ("queue", "varchar"),
        ("turn", "smallint"),
        ("state", "smallint"),
        ("available_at", "bigint"),
        ("expires_at", "bigint"),
        ("published_at", "bigint"),
        ("task_id", "varchar"),
        ("task_name", "varchar"),
        ("payload", "text"),
        ("deliveries", "smallint"),
    ),
)


def messages(rows: Sequence[tuple[Any, ...]]) -> Insert:
    """New messages, as NewMessage.row gives them; their ids grow in this order."""
    return Insert(_MESSAGES, rows)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that belongs to the claimer until it is acknowledged or given back."""

    id: int
    queue: str
    turn: int
    payload: str
    deliveries: int
    expires_at: int | None
    task_id: str | None
    task_name: str | None
    token: int


#: What a claim looks for. The second half is the index's own condition, word for word, as SQLite wants it.
READY = "state = 1 AND state IN (0, 1)"

CLAIMED_COLUMNS = "id, queue, turn, payload, deliveries, expires_at, task_id, task_name, claim_token"


class Queries:
    """Statements on an open connection; whoever calls decides about the transaction."""

    #: The time of the database, in microseconds.
    now = "%s"
    #: Appended where a planner would rather read the table, whose first pages may hold nothing but dead rows.
    _in_order = ""

    def notify(self, connection: Connection, payloads: Sequence[str]) -> None:
        """Tell the consumers on every host, where the database can."""

    def check_version(self, connection: Connection) -> str | None:
        """Why this server cannot carry the broker, or None."""
        return None

    def publish(self, connection: Connection, message: NewMessage) -> None:
        insert_all(connection, [messages([message.row()])], row_bytes=len(message.payload))

    def claim(
        self,
        connection: Connection,
        queues: Sequence[str],
        limit: int,
        worker: int,
        token: int,
        choice: Choice | None = None,
    ) -> list[Claimed]:
        """Make up to `limit` messages the worker's own, soonest first; a lost worker gets none."""
        raise NotImplementedError

    def next_due(self, connection: Connection, queues: Sequence[str], now: int) -> int | None:
        """Microseconds until the next delayed message is due, 0 when one is; None: there is none."""
        rows = fetch(
            connection,
            f"SELECT MIN(available_at) - {self.now} FROM celeriac_message WHERE state = 0",
            self.parameters_of_now(now),
        )
        return None if rows[0][0] is None else max(0, int(rows[0][0]))

    def promote(self, connection: Connection, now: int) -> int:
        """Make due messages ready, at most STEP. Index: celeriac_message_due."""
        return execute(
            connection,
            "UPDATE celeriac_message SET state = 1 WHERE id IN (SELECT id FROM celeriac_message"
            f" WHERE state = 0 AND available_at <= {self.now} ORDER BY available_at LIMIT {STEP}"
            f"{self._skip_locked}) AND state = 0",
            self.parameters_of_now(now),
        )

    #: Appended to a sub-select where the database locks rows instead of the whole file.
    _skip_locked = ""

    def ack(self, connection: Connection, held: Sequence[tuple[int, int]]) -> int:
        """Delete messages by (id, token); one whose token is no longer the last stays."""
        delete = by_key.delete_from(connection, "celeriac_message")
        return execute(connection, f"{delete} WHERE {self.fence(held)}", fenced(held))

    def release(self, connection: Connection, held: Sequence[tuple[int, int]]) -> int:
        """Give back messages that were not started; the delivery does not count."""
        return execute(
            connection,
            f"{by_key.update(connection, 'celeriac_message')} SET state = 1, claimed_by = NULL,"
            f" claim_token = NULL, deliveries = deliveries - 1 WHERE {self.fence(held)}",
            fenced(held),
        )

    def requeue(self, connection: Connection, held: Sequence[tuple[int, int]]) -> int:
        """Give back messages that were refused or cut short; the delivery counts."""
        return execute(
            connection,
            f"{by_key.update(connection, 'celeriac_message')} SET state = 1, claimed_by = NULL,"
            f" claim_token = NULL WHERE {self.fence(held)}",
            fenced(held),
        )

    def bury(self, connection: Connection, held: Sequence[tuple[int, int]], reason: str, now: int) -> int:
        """Move messages to the dead letters."""
        execute(
            connection,
            "INSERT INTO celeriac_deadletter"
            " (queue, task_id, task_name, payload, deliveries, reason, died_at)"
            " SELECT queue, task_id, task_name, payload, deliveries, %s, %s FROM celeriac_message"
            f" WHERE {self.fence(held)}",
            (reason, now, *fenced(held)),
        )
        return self.ack(connection, held)

    def fence(self, held: Sequence[tuple[int, int]]) -> str:
        """The condition that finds messages by id, and only under the token of their claim."""
        ids = marks(held)
        pairs = ", ".join(["(%s, %s)"] * len(held))
        # The ids alone drive the primary key; the pairs are the fence.
        return f"id IN ({ids}) AND (id, claim_token) IN (VALUES {pairs})"

    def size(self, connection: Connection, queue: str, limit: int) -> int:
        """Messages that wait in the queue, counted up to `limit`."""
        rows = fetch(
            connection,
            "SELECT COUNT(*) FROM (SELECT 1 FROM celeriac_message"
            f" WHERE queue = %s AND state IN (0, 1){self._in_order} LIMIT {int(limit)}) AS waiting",
            (queue,),
        )
        return int(rows[0][0])

    def purge(self, connection: Connection, queue: str) -> int:
        """Delete waiting messages of the queue, at most STEP; claimed ones stay."""
        return execute(
            connection,
            "DELETE FROM celeriac_message WHERE id IN (SELECT id FROM celeriac_message"
            f" WHERE queue = %s AND state IN (0, 1){self._in_order} LIMIT {STEP})",
            (queue,),
        )

    def parameters_of_now(self, now: int) -> tuple[int, ...]:
        """The parameter of `now`, where the database's own clock is not asked."""
        return (now,) if self.now == "%s" else ()


def execute(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> int:
    """Run a statement; the number of rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return int(cursor.rowcount)


def fetch(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a query; all its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))


def fenced(held: Sequence[tuple[int, int]]) -> list[int]:
    """The parameters of `fence`."""
    return [message for message, _ in held] + [value for pair in held for value in pair]


def with_spare(limit: int) -> int:
    """How many candidates a claim of `limit` reads, for others may be locking the first ones."""
    return 2 * limit + 64


def place_in(queue: str | None, near: str) -> str:
    """The place of a candidate in its own queue: a backlog in one must not make the others wait."""
    part = f"PARTITION BY {queue} " if queue else ""
    return f"ROW_NUMBER() OVER ({part}ORDER BY {near}.turn, {near}.id) AS place"


def in_order(rows: Sequence[tuple[Any, ...]]) -> list[Claimed]:
    """Rows of CLAIMED_COLUMNS, soonest first: RETURNING promises no order."""
    return sorted((Claimed(*row) for row in rows), key=lambda claimed: (claimed.turn, claimed.id))
