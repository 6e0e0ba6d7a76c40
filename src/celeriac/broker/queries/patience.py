"""How long a statement waits for another's lock, where one lock is for the whole database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.queries.base import fetch

_LITTLE_MS = 200


@contextmanager
def little(connection: Connection) -> Iterator[None]:
    """Wait a moment at most on SQLite, whose timeout may be many seconds; the others lock rows."""
    if connection.vendor != "sqlite":
        yield
        return
    before = int(fetch(connection, "PRAGMA busy_timeout")[0][0])
    _set(connection, min(before, _LITTLE_MS))
    try:
        yield
    finally:
        _set(connection, before)


def _set(connection: Connection, milliseconds: int) -> None:
    # A PRAGMA takes no bound value.
    fetch(connection, f"PRAGMA busy_timeout = {int(milliseconds)}")
