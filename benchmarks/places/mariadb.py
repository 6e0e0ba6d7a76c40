"""A database of MariaDB, emptied by TRUNCATE."""

from typing import Any

from benchmarks.places.base import Place, server

TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = %s AND table_name <> 'django_migrations'
"""
BYTES = "SELECT sum(file_size) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE %s"


class MariaDB(Place):
    """The server's own settings; Django keeps its connections open."""

    def make(self) -> None:
        self._run("", f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")

    def address(self) -> dict[str, str | int]:
        """Where the server is, and who connects. Raises Unreachable."""
        return server("mariadb").django_settings()

    def database(self) -> dict[str, object]:
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": self.name,
            "OPTIONS": {"charset": "utf8mb4"},
            "CONN_MAX_AGE": None,
            **self.address(),
        }

    def empty(self) -> None:
        for (table,) in self._run(self.name, TABLES, (self.name,)):
            self._run(self.name, f"TRUNCATE {table}", without_keys=True)

    def drop(self) -> None:
        self._run("", f"DROP DATABASE IF EXISTS {self.name}")

    def bytes_used(self) -> int:
        return int(self._run(self.name, BYTES, (f"{self.name}/%",))[0][0])

    def _run(
        self, database: str, statement: str, values: tuple[str, ...] = (), *, without_keys: bool = False
    ) -> list[Any]:
        import MySQLdb

        given = self.address()
        connection = MySQLdb.connect(
            host=given["HOST"],
            port=int(given["PORT"]),
            user=given["USER"],
            password=given["PASSWORD"],
            database=database,
            autocommit=True,
        )
        try:
            with connection.cursor() as cursor:
                if without_keys:
                    cursor.execute("SET foreign_key_checks = 0")
                cursor.execute(statement, values)
                return list(cursor.fetchall())
        finally:
            connection.close()
