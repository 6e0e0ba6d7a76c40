"""The broker's SQL: `base` is the reference meaning, a vendor's file holds only what differs."""

from functools import lru_cache
from typing import TYPE_CHECKING

from celeriac.errors import UnsupportedDatabase

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from celeriac.broker.queries.base import Queries


def queries_for(connection: "BaseDatabaseWrapper") -> "Queries":
    """The statements for the database behind `connection`; raises UnsupportedDatabase."""
    return _by_vendor(connection.vendor)


@lru_cache
def _by_vendor(vendor: str) -> "Queries":
    # Imported late: only the database in use needs its file.
    if vendor == "postgresql":
        from celeriac.broker.queries.postgresql import PostgresqlQueries

        return PostgresqlQueries()
    if vendor == "mysql":
        from celeriac.broker.queries.mysql import MysqlQueries

        return MysqlQueries()
    if vendor == "sqlite":
        from celeriac.broker.queries.sqlite import SqliteQueries

        return SqliteQueries()
    raise UnsupportedDatabase(
        f"django:// runs on SQLite, PostgreSQL, MariaDB and MySQL, not on {vendor}. "
        "Name another alias in CELERY_BROKER_URL = 'django://ALIAS', or use RabbitMQ or Redis."
    )
