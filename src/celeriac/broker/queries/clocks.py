"""The clock by which messages are due: the database's, or the host's where it has none of its own."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import clock
from celeriac.broker.queries.base import Queries, fetch


def now(connection: Connection, queries: Queries) -> int:
    """The time by which messages are due, in microseconds."""
    return clock.now() if queries.now == "%s" else int(fetch(connection, f"SELECT {queries.now}")[0][0])


def ahead(connection: Connection, queries: Queries) -> int:
    """How many microseconds the host is ahead of it, below 0: behind."""
    return 0 if queries.now == "%s" else clock.now() - now(connection, queries)
