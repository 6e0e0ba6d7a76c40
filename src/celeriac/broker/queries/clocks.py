"""What this host's clock has to do with the database's."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import clock
from celeriac.broker.queries.base import Queries, fetch


def ahead(connection: Connection, queries: Queries) -> int:
    """How many microseconds the host is ahead, below 0: behind; 0 where the database has the host's clock."""
    if queries.now == "%s":
        return 0
    return clock.now() - int(fetch(connection, f"SELECT {queries.now}")[0][0])
