"""Ready again: messages of a dead worker, or of a claim nobody knows of. Held again: what a crash undid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries import by_key
from celeriac.broker.queries.base import STEP, execute, fetch, marks


@dataclass(frozen=True, slots=True)
class Begun:
    """A message whose task may have begun."""

    id: int
    token: int
    task_id: str | None
    task_name: str | None


def restore(connection: Connection, worker: int, begun: int = 0) -> int:
    """Make ready again what a lost worker held. Index: celeriac_message_claimed.

    Tasks begin in the order of their claims, and a token grows from claim to claim: no more than the
    first `begun` had begun, and for the others the delivery does not count. 0: nobody knows.
    """
    never = _never_begun(connection, worker, begun) if begun else []
    for start in range(0, len(never), STEP // 2):
        ids = never[start : start + STEP // 2]
        execute(
            connection,
            f"{by_key.update(connection, 'celeriac_message')} SET deliveries = deliveries - 1"
            f" WHERE id IN ({marks(ids)})",
            ids,
        )
    return execute(
        connection,
        "UPDATE celeriac_message SET state = 1, claimed_by = NULL, claim_token = NULL WHERE claimed_by = %s",
        (worker,),
    )


def restore_orphans(connection: Connection) -> int:
    """Make ready again what is held by a worker that is lost or has no row any more."""
    return execute(
        connection,
        "UPDATE celeriac_message SET state = 1, claimed_by = NULL, claim_token = NULL"
        " WHERE claimed_by IS NOT NULL AND claimed_by NOT IN"
        " (SELECT id FROM celeriac_worker WHERE NOT is_lost)",
    )


def begun(connection: Connection, worker: int, most: int) -> list[Begun]:
    """The first of what a worker holds: no others can have begun. Index: celeriac_message_claimed."""
    rows = fetch(
        connection,
        "SELECT id, claim_token, task_id, task_name FROM celeriac_message"
        f" WHERE claimed_by = %s ORDER BY claim_token, turn, id LIMIT {int(most)}",
        (worker,),
    )
    return [Begun(*row) for row in rows]


def with_messages(connection: Connection, worker: int, task_ids: Collection[str]) -> set[str]:
    """Those of these tasks that have a message, whoever holds it: they run, or run again.

    What the worker itself holds is known by the index celeriac_message_claimed. For others the table is read:
    an index would cost each message what a death alone needs.
    """
    held = fetch(connection, "SELECT task_id FROM celeriac_message WHERE claimed_by = %s", (worker,))
    found = {task_id for (task_id,) in held} & set(task_ids)
    left = sorted(set(task_ids) - found)
    for start in range(0, len(left), STEP // 2):
        ids = left[start : start + STEP // 2]
        rows = fetch(connection, f"SELECT task_id FROM celeriac_message WHERE task_id IN ({marks(ids)})", ids)
        found.update(task_id for (task_id,) in rows)
    return found


def claim_again(connection: Connection, worker: int, held: Collection[tuple[int, int]]) -> int:
    """Take what a living worker has by (id, token), if it is ready again. By the primary key, in order.

    One statement where nothing is: while connections break again and again, each more is one that fails.
    """
    ready = _ready(connection, [message for message, _ in held])
    return sum(
        execute(
            connection,
            "UPDATE celeriac_message SET state = 2, claimed_by = %s, claim_token = %s,"
            " deliveries = deliveries + 1 WHERE id = %s AND state = 1",
            (worker, token, message),
        )
        for message, token in sorted(held)
        if message in ready
    )


def undo_claim(connection: Connection, worker: int, token: int) -> int:
    """Give back what a claim took whose answer never came. Index: celeriac_message_claimed."""
    return execute(
        connection,
        "UPDATE celeriac_message SET state = 1, claimed_by = NULL, claim_token = NULL,"
        " deliveries = deliveries - 1 WHERE claimed_by = %s AND claim_token = %s",
        (worker, token),
    )


def _ready(connection: Connection, messages: Sequence[int]) -> set[int]:
    found = set[int]()
    for start in range(0, len(messages), STEP // 2):
        ids = messages[start : start + STEP // 2]
        rows = fetch(
            connection, f"SELECT id FROM celeriac_message WHERE id IN ({marks(ids)}) AND state = 1", ids
        )
        found.update(message for (message,) in rows)
    return found


def _never_begun(connection: Connection, worker: int, begun: int) -> list[int]:
    rows = fetch(
        connection,
        "SELECT id FROM celeriac_message WHERE claimed_by = %s ORDER BY claim_token, turn, id",
        (worker,),
    )
    return [row[0] for row in rows[begun:]]
