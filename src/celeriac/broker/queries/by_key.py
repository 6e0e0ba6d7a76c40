"""Statements that find their rows by the primary key, and lock no others.

MariaDB and MySQL read a small table as a whole where they think that cheaper, and then lock, or wait for,
each row in it, also one whose publisher's transaction is still open. That publisher may in turn be waiting
for the results that stand in the acking worker's transaction: a deadlock.
"""

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

_BY_KEY = " FORCE INDEX (PRIMARY)"


def delete_from(connection: Connection, table: str) -> str:
    """What stands before WHERE, with ids in the condition."""
    if connection.vendor == "mysql":
        # Without a table's name before FROM, DELETE takes no hint.
        return f"DELETE {table} FROM {table}{_BY_KEY}"
    return f"DELETE FROM {table}"


def update(connection: Connection, table: str) -> str:
    """What stands before SET, with ids in the condition."""
    return f"UPDATE {table}{_BY_KEY if connection.vendor == 'mysql' else ''}"
