"""Transactions and settings of the connections that Celeriac owns, which Django's `atomic` does not know."""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

_BEGIN = {
    # A deferred transaction that reads before it writes fails at once when another one has written in
    # between, whatever the busy timeout.
    "sqlite": "BEGIN IMMEDIATE",
    "mysql": "START TRANSACTION",
}
_TUNE = {
    # NORMAL: in WAL mode a crash of the process or of the system corrupts nothing; only a power cut may
    # take back the last transactions of a worker, which then run again.
    # No statement waits long for another writer: an event loop has other things to do, and a fork waits for
    # the work of all threads. Whoever may be patient tries again.
    "sqlite": ("PRAGMA synchronous = NORMAL", "PRAGMA busy_timeout = 100"),
    # The default of the server, REPEATABLE READ, would lock the gaps beside a claimed row.
    "mysql": ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",),
}


def tune(connection: Connection) -> None:
    """Set what our connections need beyond the project's own settings."""
    for statement in _TUNE.get(connection.vendor, ()):
        _execute(connection, statement)


def begin(connection: Connection) -> None:
    _execute(connection, _BEGIN.get(connection.vendor, "BEGIN"))


def commit(connection: Connection) -> None:
    # Not the driver's own commit: psycopg 2 ends only what it has begun itself.
    _execute(connection, "COMMIT")


def rollback(connection: Connection) -> None:
    _execute(connection, "ROLLBACK")


def _execute(connection: Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
