"""Which of the messages that are ready a claim takes, where not every one will do.

Only of a worker that has met a task that it does not know. The condition is checked on the rows that the
index for a claim gives, so a claim reads over those that it leaves out.
"""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries.base import READY, fetch, marks
from celeriac.broker.queries.choice import Choice

#: Names that a look finds at most.
_MOST_NAMES = 100


def of_tasks(names: Sequence[str]) -> Choice:
    """Messages of these tasks, and those that are of no task."""
    return Choice(f" AND (task_name IS NULL OR task_name IN ({marks(names)}))", tuple(names))


def overdue(names: Sequence[str], before: int) -> Choice:
    """Messages of these tasks that have been ready since then."""
    return Choice(f" AND task_name IN ({marks(names)}) AND available_at <= %s", (*names, before))


def other_tasks(connection: Connection, queues: Sequence[str], names: Sequence[str]) -> list[str]:
    """Tasks with other names than these that wait in the queues. Index: celeriac_message_next."""
    rows = fetch(
        connection,
        f"SELECT DISTINCT task_name FROM celeriac_message WHERE queue IN ({marks(queues)}) AND {READY}"
        f" AND task_name NOT IN ({marks(names)}) LIMIT {_MOST_NAMES}",
        (*queues, *names),
    )
    return [row[0] for row in rows]
