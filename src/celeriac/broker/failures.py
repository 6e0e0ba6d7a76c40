"""What a database error means for a consumer: try again, reconnect, or stop and tell."""

from django.db import DatabaseError, InterfaceError, OperationalError
from kombu.exceptions import KombuError

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_BUSY = frozenset({"40001", "40P01", "55P03"})
# Lock wait timeout, deadlock, record changed since last read (MariaDB's snapshot isolation).
_MYSQL_BUSY = frozenset({1205, 1213, 1020})
# Cannot connect, server has gone away, lost connection, server shutdown in progress, killed.
_MYSQL_GONE = frozenset({1053, 1927, 2002, 2003, 2006, 2013, 2055})
_SQLITE_BUSY = ("database is locked", "database table is locked", "database schema is locked")
_SQLITE_FULL = ("database or disk is full", "readonly database", "disk image is malformed", "disk i/o error")


class BrokerConnectionLost(ConnectionError):
    """The database of the broker cannot be reached; Celery connects again by itself."""


class BrokerRefused(KombuError):
    """The database of the broker refused a statement for a reason that trying again cannot cure."""


def is_busy(error: BaseException) -> bool:
    """Another transaction was in the way: the same statement may pass in a moment."""
    if not isinstance(error, DatabaseError):
        return False
    if _sqlstate(error) in _POSTGRESQL_BUSY or _mysql_number(error) in _MYSQL_BUSY:
        return True
    return any(text in str(error).lower() for text in _SQLITE_BUSY)


def is_gone(error: BaseException) -> bool:
    """The connection or the server is away: only a new connection can help."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError) or is_busy(error):
        return False
    if number := _mysql_number(error):
        return number in _MYSQL_GONE
    if any(text in str(error).lower() for text in _SQLITE_FULL):
        return False
    state = _sqlstate(error)
    # 08: connection exception; 57P: shutdown or crash; 53300: too many connections.
    # No state at all: the driver, not the server, found the connection dead.
    return state is None or state[:2] == "08" or state[:3] == "57P" or state == "53300"


def is_missing_table(error: BaseException) -> bool:
    """One of our tables is not there: `migrate` has not been run."""
    if "celeriac_" not in str(error) and "django_celery_results" not in str(error):
        return False
    missing = _sqlstate(error) == "42P01" or _mysql_number(error) == 1146
    return missing or "no such table" in str(error)


def _sqlstate(error: BaseException) -> str | None:
    cause = error.__cause__
    # psycopg 3 says `sqlstate`, psycopg2 `pgcode`.
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _mysql_number(error: BaseException) -> int | None:
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None
