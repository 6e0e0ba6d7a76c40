"""What this host's clock has to do with the database's."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import clock
from celeriac.broker.queries.base import Queries, fetch


def ahead(connection: Connection, queries: Queries) -> int:
    """How many microseconds the host is ahead, below 0: behind; 0 where the database has the host's clock."""
    return 0 if queries.now == "%s" else clock.now() - now(connection, queries)


def now(connection: Connection, queries: Queries) -> int:
    """The time by which messages are due, in microseconds."""
    return clock.now() if queries.now == "%s" else int(fetch(connection, f"SELECT {queries.now}")[0][0])
