"""Rows for several tables, written together in as few statements as the database allows.

PostgreSQL takes all tables of a step in one statement, and many rows that are new to their table by COPY;
SQLite and MariaDB take one statement for each table.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.database import charset, copying

#: A statement ends at whichever comes first. MariaDB takes 16 MB by default; PostgreSQL holds it in memory.
MOST_ROWS = 2000
MOST_BYTES = 8 * 1024 * 1024

Row = tuple[Any, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Target:
    """A table, the columns that are given with PostgreSQL's types of them, and what a conflict does."""

    table: str
    columns: tuple[tuple[str, str], ...]
    #: Behind the rows: ON CONFLICT … or ON DUPLICATE KEY …; nothing: the rows are new, or it is an error.
    conflict: str = ""
    #: What stands around a name.
    mark: str = '"'
    #: Whether U+FFFD may stand for a character that an old table of MySQL cannot hold.
    is_narrowable: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows for a target."""

    target: Target
    rows: Sequence[Row]


def is_one_statement(connection: Connection, rows: int, size: int) -> bool:
    """Whether so many rows of every table, of so many bytes together, are one statement.

    From as many on as may go by COPY they take a transaction, also where the driver has none.
    """
    return connection.vendor == "postgresql" and rows < copying.FEWEST_ROWS and size <= MOST_BYTES


def insert_all(connection: Connection, inserts: Sequence[Insert], *, row_bytes: int) -> None:
    """Write the rows of all; `row_bytes` is about what a row of each table has together at the most.

    The caller decides about the transaction.
    """
    # SQLite is handed one row after the other anyway.
    most = sys.maxsize if connection.vendor == "sqlite" else min(MOST_ROWS, MOST_BYTES // max(1, row_bytes))
    step = max(1, most)
    write = _WAYS.get(connection.vendor, _by_executemany)
    with connection.cursor() as cursor:
        for part in _steps(_not_copied(connection, cursor, inserts), step):
            write(cursor, part)


def _not_copied(connection: Connection, cursor: Any, inserts: Sequence[Insert]) -> list[Insert]:
    """Write by COPY what is better written so; the others."""
    left = []
    for each in inserts:
        is_copied = len(each.rows) >= copying.FEWEST_ROWS and not each.target.conflict
        if is_copied and copying.is_possible(connection, cursor):
            names = [name for name, _ in each.target.columns]
            copying.copy(connection, cursor, each.target.table, names, each.rows)
        else:
            left.append(each)
    return left


def _steps(inserts: Sequence[Insert], step: int) -> Iterator[list[Insert]]:
    for start in range(0, max((len(each.rows) for each in inserts), default=0), step):
        part = [Insert(each.target, each.rows[start : start + step]) for each in inserts]
        yield [each for each in part if each.rows]


def _by_json(cursor: Any, inserts: Sequence[Insert]) -> None:
    """PostgreSQL: one statement for all tables, one parameter for each.

    psycopg took 170 µs of the client's time for a task's thirty values, 120 with COPY for one table; JSON,
    which C writes and reads, takes 40.
    """
    parameters = []
    for each in inserts:
        names = [name for name, _ in each.target.columns]
        parameters.append(_dumps([dict(zip(names, row, strict=True)) for row in each.rows]))
    *first, last = [_json_statement(each.target) for each in inserts]
    also = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(first))
    cursor.execute(f"WITH {also} {last}" if first else last, parameters)


def _by_values(cursor: Any, inserts: Sequence[Insert]) -> None:
    """MariaDB and MySQL: one statement for each table."""
    for each in inserts:
        statement = _values_statement(each.target, len(each.rows))
        values = [value for row in each.rows for value in row]
        if each.target.is_narrowable:
            charset.execute(cursor, statement, values)
        else:
            cursor.execute(statement, values)


def _by_executemany(cursor: Any, inserts: Sequence[Insert]) -> None:
    """SQLite: no network is between, and it prepares the statement once."""
    for each in inserts:
        statement = _values_statement(each.target, 1)
        if len(each.rows) == 1:
            cursor.execute(statement, each.rows[0])
        else:
            cursor.executemany(statement, each.rows)


@lru_cache(maxsize=16)
def _json_statement(target: Target) -> str:
    columns = ", ".join(f'"{name}"' for name, _ in target.columns)
    given = ", ".join(f'"{name}" {kind}' for name, kind in target.columns)
    return (
        f"INSERT INTO {target.table} ({columns})"
        f" SELECT {columns} FROM json_to_recordset(%s::json) AS given({given}) {target.conflict}"
    )


@lru_cache(maxsize=64)
def _values_statement(target: Target, rows: int) -> str:
    columns = ", ".join(f"{target.mark}{name}{target.mark}" for name, _ in target.columns)
    row = f"({', '.join(['%s'] * len(target.columns))})"
    return f"INSERT INTO {target.table} ({columns}) VALUES {', '.join([row] * rows)} {target.conflict}"


# A time is written as Python does, which PostgreSQL reads.
_dumps = json.JSONEncoder(separators=(",", ":"), default=str).encode
_WAYS = {"postgresql": _by_json, "mysql": _by_values, "sqlite": _by_executemany}
