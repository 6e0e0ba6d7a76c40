"""What a database server is set to, and what its file is."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries.base import fetch

_MOST_CONNECTIONS = {"postgresql": "SHOW max_connections", "mysql": "SELECT @@max_connections"}
#: PostgreSQL keeps three for its administrators.
_RESERVED = {"postgresql": 3, "mysql": 0}


def most_connections(connection: Connection) -> int | None:
    """How many connections all clients together may have; None: a file has no such limit."""
    statement = _MOST_CONNECTIONS.get(connection.vendor)
    if statement is None:
        return None
    return int(fetch(connection, statement)[0][0]) - _RESERVED[connection.vendor]


def journal_mode(connection: Connection) -> str:
    """How a SQLite file is written, in small letters."""
    return str(fetch(connection, "PRAGMA journal_mode")[0][0]).lower()
