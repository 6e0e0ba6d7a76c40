"""Databases on a server that was started for them alone, so that it may be crashed."""

from contextlib import ExitStack

from benchmarks.places import Place
from benchmarks.places.mariadb import MariaDB
from benchmarks.places.postgresql import PostgreSQL
from soak.own_servers import OwnServer, own_server


class OwnPostgreSQL(PostgreSQL):
    """Goes with its server."""

    server: OwnServer

    def make(self) -> None:
        self._stack = ExitStack()
        self.server = self._stack.enter_context(own_server("postgresql"))
        super().make()

    def address(self) -> dict[str, str | int]:
        return self.server.address

    def drop(self) -> None:
        self._stack.close()


class OwnMariaDB(MariaDB):
    """Goes with its server."""

    server: OwnServer

    def make(self) -> None:
        self._stack = ExitStack()
        self.server = self._stack.enter_context(own_server("mariadb"))
        super().make()

    def address(self) -> dict[str, str | int]:
        return self.server.address

    def drop(self) -> None:
        self._stack.close()


#: By the kind of place that each stands for.
OWN: dict[str, type[Place]] = {"postgresql": OwnPostgreSQL, "mariadb": OwnMariaDB}
