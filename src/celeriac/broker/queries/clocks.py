"""The clock of a database that has one of its own."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries.base import Queries, fetch


def now(connection: Connection, queries: Queries) -> int:
    """What time it is, in microseconds."""
    return int(fetch(connection, f"SELECT {queries.now}")[0][0])
