"""What a database error means: try again, connect again, migrate, or tell.

The driver's code decides, not its text, wherever there is a code.
"""

import re

from django.db import DEFAULT_DB_ALIAS, Error

# PostgreSQL, SQLSTATE: serialization failure, deadlock, lock timeout, statement timeout.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BUSY_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57014"})
# Shutdown by an administrator, crash, not accepting connections yet, too many connections; idle for too long
# as a session or in a transaction, a transaction that lasts too long. Class 08 is "connection exception".
# Read-only: after a failover the primary is elsewhere, and only a new connection gets there.
_LOST_SQLSTATES = frozenset({"57P01", "57P02", "57P03", "53300", "57P05", "25P03", "25P04", "25006"})
# Out of disk, of memory or of another resource; the system's own error on a file.
_HINDERED_SQLSTATES = frozenset({"53000", "53100", "53200", "53400", "58030"})
# With either severity the server ends the session, whatever the code.
_FAREWELLS = frozenset({"FATAL", "PANIC"})
# MariaDB, MySQL: lock wait timeout, deadlock, row changed since it was read, NOWAIT; interrupted, too long.
_BUSY_NUMBERS = frozenset({1205, 1213, 1020, 3572, 1317, 1969, 3024})
# Shutdown, too many connections, killed, cannot connect, gone away, lost during the query; read-only.
_LOST_NUMBERS = frozenset({1040, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031, 1290, 1792, 1836})
# Disk full, table full, out of memory, error on writing a file, error of the storage engine.
_HINDERED_NUMBERS = frozenset({1021, 1114, 1037, 1041, 1026, 1030, 3})
# Refused at the door: access, host blocked or not allowed, too many connections of the user, locked account.
# PostgreSQL has no code for these.
_REFUSED_NUMBERS = frozenset({1044, 1045, 1129, 1130, 1203, 1226, 1698, 3118, 4151})
# SQLITE_BUSY, SQLITE_LOCKED, without the bits of the extended code; SQLITE_CANTOPEN, SQLITE_READONLY,
# SQLITE_IOERR; SQLITE_FULL, SQLITE_NOMEM.
_BUSY_SQLITE_CODES = frozenset({5, 6})
_LOST_SQLITE_CODES = frozenset({14, 8, 10})
_HINDERED_SQLITE_CODES = frozenset({13, 7})
_MISSING_TABLE = ("42P01", 1146)
_TABLE = re.compile(r"\b((?:celeriac|django_celery_results)_\w+)(?=[\"']|$)", re.MULTILINE)
# MariaDB, MySQL: the column's character set lacks a character of the text.
_WRONG_TEXT_NUMBER = 1366


def is_busy(error: BaseException) -> bool:
    """Another transaction was in the way: the same statement may pass in a moment."""
    cause = _of_driver(error)
    if cause is None:
        return False
    if _sqlstate(cause) in _BUSY_SQLSTATES or _number(cause) in _BUSY_NUMBERS:
        return True
    return _sqlite_code(cause) in _BUSY_SQLITE_CODES


def is_lost(error: BaseException) -> bool:
    """The connection or the server is away: only a new connection can help."""
    cause = _of_driver(error)
    if cause is None:
        return False
    state = _sqlstate(cause)
    if state is not None:
        return state in _LOST_SQLSTATES or state.startswith("08") or _severity(cause) in _FAREWELLS
    name = type(cause).__name__
    if hasattr(cause, "sqlstate") or hasattr(cause, "pgcode"):
        # psycopg has no SQLSTATE when it lost the server, or when the connection was closed before.
        return name in {"OperationalError", "InterfaceError"}
    if _sqlite_code(cause) in _LOST_SQLITE_CODES:
        return True
    number = _number(cause)
    return number in _LOST_NUMBERS | _REFUSED_NUMBERS or (name == "InterfaceError" and number in {0, None})


def is_hindered(error: BaseException) -> bool:
    """The database has no room or no memory for it until somebody makes some."""
    cause = _of_driver(error)
    if cause is None:
        return False
    if _sqlstate(cause) in _HINDERED_SQLSTATES or _sqlite_code(cause) in _HINDERED_SQLITE_CODES:
        return True
    return _number(cause) in _HINDERED_NUMBERS


def is_passing(error: BaseException) -> bool:
    """The same statement may succeed later, perhaps on a new connection."""
    return is_busy(error) or is_lost(error) or is_hindered(error)


def is_missing_table(error: BaseException) -> bool:
    """One of our tables is not there: `migrate` has not been run."""
    if "celeriac_" not in str(error) and "django_celery_results" not in str(error):
        return False
    cause = _of_driver(error)
    if cause is None:
        return False
    return (
        _sqlstate(cause) in _MISSING_TABLE
        or _number(cause) in _MISSING_TABLE
        or "no such table" in str(error)
    )


def missing_table(error: BaseException) -> str | None:
    """Its name, where `is_missing_table`: drivers have it in their texts alone, at the end or in quotes."""
    found = _TABLE.search(str(error))
    return found[1] if found else None


def tables_missing(alias: str) -> str:
    """What to do about tables that are not there."""
    return f"Celeriac's tables are not in database {alias!r}. {migrate(alias)}"


def migrate(alias: str) -> str:
    """How tables come into a database."""
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
    return f"Run: python manage.py migrate{option}"


def is_wrong_text(error: BaseException) -> bool:
    """A column of MariaDB or MySQL cannot hold a character."""
    cause = _of_driver(error)
    return cause is not None and _number(cause) == _WRONG_TEXT_NUMBER


def first_line(error: BaseException) -> str:
    """The error in one line, for a message to people."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _of_driver(error: BaseException) -> BaseException | None:
    """The driver's error, which alone has the code: Django's own, perhaps inside another's, is `from` it."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, Error):
        found = found.__cause__
    return found if found is None or found.__cause__ is None else found.__cause__


def _sqlstate(cause: BaseException) -> str | None:
    # psycopg 3 says `sqlstate`, psycopg2 `pgcode`.
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state if isinstance(state, str) else None


def _severity(cause: BaseException) -> str | None:
    # In English whatever the server's language; PostgreSQL has it from 9.6 on, psycopg2 from 2.8 on.
    severity = getattr(getattr(cause, "diag", None), "severity_nonlocalized", None)
    return severity if isinstance(severity, str) else None


def _sqlite_code(cause: BaseException) -> int | None:
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _number(cause: BaseException) -> int | None:
    first = cause.args[0] if cause.args else None
    return first if isinstance(first, int) else None
