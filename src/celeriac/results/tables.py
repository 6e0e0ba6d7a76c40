"""An upsert into a table with a unique `task_id`, in the words of each database.

Knows how rows are batched and ordered, and what text every database can hold; not what the rows mean.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.database.inserting import Insert, Row, Target, insert_all
from celeriac.results import fitting

#: Rows of one statement at most: above it the statement only grows, not the speed.
MOST_ROWS = 100
#: Characters from which on a row might be larger than MariaDB and MySQL take; what else is in its statement.
_LARGE = 512 * 1024
_BESIDE_BYTES = 8 * 1024


class Table:
    """A table with a unique `task_id`, in the words of one kind of database."""

    def __init__(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> None:
        fields = model._meta.concrete_fields
        self._names = {item.name: str(item.column) for item in fields}
        self._types = {item.name: item.db_type(connection) or "" for item in fields}
        self._columns = {item.name: connection.ops.quote_name(str(item.column)) for item in fields}
        self._table = connection.ops.quote_name(model._meta.db_table)
        #: PostgreSQL and SQLite speak ON CONFLICT, MariaDB and MySQL speak ON DUPLICATE KEY.
        self._has_target = connection.features.supports_update_conflicts_with_target

    def column(self, name: str) -> str:
        return self._columns[name]

    def stored(self, name: str) -> str:
        return f"{self._table}.{self.column(name)}"

    def new(self, name: str) -> str:
        return f"excluded.{self.column(name)}" if self._has_target else f"VALUES({self.column(name)})"

    def or_update(self, updates: Mapping[str, str], guard: str) -> str:
        if self._has_target:
            changes = ", ".join(f"{self.column(name)} = {value}" for name, value in updates.items())
            return f"ON CONFLICT ({self.column('task_id')}) DO UPDATE SET {changes} WHERE {guard}"
        changes = ", ".join(
            f"{self.column(name)} = IF({guard}, {value}, {self.stored(name)})"
            for name, value in updates.items()
        )
        return f"ON DUPLICATE KEY UPDATE {changes}"

    def or_keep(self) -> str:
        if self._has_target:
            return f"ON CONFLICT ({self.column('task_id')}) DO NOTHING"
        # INSERT IGNORE would also cut values that are too long, and take NULL for a default.
        return f"ON DUPLICATE KEY UPDATE {self.column('task_id')} = {self.stored('task_id')}"

    def target(self, names: Sequence[str], conflict: str) -> Target:
        """Where rows of these columns go; the same object for the same meaning."""
        columns = tuple((self._names[name], self._types[name]) for name in names)
        return _target(self._table, columns, conflict, '"' if self._has_target else "`")


#: By the kind of database and the model.
_tables: dict[tuple[str, type[models.Model]], Table] = {}


def table_of(connection: BaseDatabaseWrapper, model: type[models.Model]) -> Table:
    """The table of the model in this kind of database; made once."""
    key = (connection.vendor, model)
    if key not in _tables:
        _tables[key] = Table(connection, model)
    return _tables[key]


def insert(connection: BaseDatabaseWrapper, target: Target, rows: Sequence[tuple[str, list[Any]]]) -> None:
    """Write the rows, each behind its task's id, in the caller's transaction."""
    for batch in _rounds(rows, MOST_ROWS):
        largest = max(sum(len(value) for value in row if isinstance(value, str)) for row in batch)
        if largest > _LARGE and connection.vendor == "mysql":
            _check_packet(connection, batch)
        insert_all(connection, [Insert(target, batch)], row_bytes=largest)


def _check_packet(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Raise ResultTooLarge where the server would not take a row, but perhaps end the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        limit = int(cursor.fetchone()[0]) - _BESIDE_BYTES
    for row in rows:
        size = sum(fitting.size_of(value) + _escapes(value) for value in row if isinstance(value, str))
        if size > limit:
            raise fitting.ResultTooLarge(
                f"The result of {row[0]} is a statement of {size:,} bytes, more than the server's "
                "max_allowed_packet. Store the data and return its key, or raise that."
            )


def _escapes(text: str) -> int:
    """How many characters the driver puts in front of others."""
    return sum(text.count(character) for character in "\\'\"\n\r\0\x1a")


@lru_cache(maxsize=16)
def _target(table: str, columns: tuple[tuple[str, str], ...], conflict: str, mark: str) -> Target:
    # The statements are remembered by it.
    return Target(table, columns, conflict, mark, is_narrowable=True)


def _rounds(rows: Sequence[tuple[str, list[Any]]], size: int) -> Iterator[list[Row]]:
    """Batches that hold a task once each, in order per task, sorted by task.

    PostgreSQL refuses to touch a row twice in one statement; two workers that lock rows in one order
    never wait for each other in a circle.
    """
    rounds: list[dict[str, list[Any]]] = []
    seen: dict[str, int] = {}
    for task_id, values in rows:
        number = seen[task_id] = seen.get(task_id, -1) + 1
        if number == len(rounds):
            rounds.append({})
        rounds[number][task_id] = values
    for one_each in rounds:
        ordered = [one_each[task_id] for task_id in sorted(one_each)]
        for start in range(0, len(ordered), size):
            yield list(map(tuple, ordered[start : start + size]))


def limit_of(model: type[models.Model], name: str) -> int | None:
    return getattr(model._meta.get_field(name), "max_length", None)


def time_of(connection: BaseDatabaseWrapper) -> Callable[[datetime | str], Any]:
    """What makes a column's value of a time, also of one in ISO format, as the notes of tasks have it."""
    adapt = connection.ops.adapt_datetimefield_value
    # What Django writes for a time in UTC, without making three objects for each.
    is_plain = connection.vendor in {"sqlite", "mysql"} and settings.USE_TZ and connection.timezone is UTC

    def time(at: datetime | str) -> Any:
        if isinstance(at, datetime):
            return adapt(at)
        if is_plain and at.endswith("+00:00"):
            return f"{at[:10]} {at[11:-6]}"
        return adapt(datetime.fromisoformat(at))

    return time


def storable(value: Any, limit: int | None) -> Any:
    """Text as every database takes it: no NUL (PostgreSQL refuses it), no half of a pair, not too long."""
    if not isinstance(value, str):
        return value
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    return value if limit is None or len(value) <= limit else value[:limit]
