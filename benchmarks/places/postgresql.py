"""A database of PostgreSQL, emptied by TRUNCATE."""

from typing import Any

from benchmarks.places.base import Place, server

TABLES = """
    SELECT quote_ident(relname) FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> 'django_migrations'
"""
BYTES = """
    SELECT sum(pg_total_relation_size(oid)) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


class PostgreSQL(Place):
    """The server's own settings; Django keeps its connections open."""

    def make(self) -> None:
        self._run("postgres", f'CREATE DATABASE "{self.name}"')

    def address(self) -> dict[str, str | int]:
        """Where the server is, and who connects. Raises Unreachable."""
        return server("postgresql").django_settings()

    def database(self) -> dict[str, object]:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "CONN_MAX_AGE": None,
            **self.address(),
        }

    def empty(self) -> None:
        tables = ", ".join(name for (name,) in self._run(self.name, TABLES))
        self._run(self.name, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")

    def drop(self) -> None:
        self._run("postgres", f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def bytes_used(self) -> int:
        return int(self._run(self.name, BYTES)[0][0])

    def _run(self, database: str, statement: str) -> list[Any]:
        import psycopg

        given: dict[str, Any] = {str(key).lower(): value for key, value in self.address().items() if value}
        with psycopg.connect(dbname=database, autocommit=True, **given) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
