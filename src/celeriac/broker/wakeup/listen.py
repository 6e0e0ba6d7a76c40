"""LISTEN on PostgreSQL, on a connection of its own; when it breaks, the slow poll goes on alone."""

from typing import Any

from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries.postgresql import PostgresqlQueries
from celeriac.broker.session import BrokerSession


class Listener:
    """Readable when a publisher has notified; its owner calls close()."""

    def __init__(self, alias: str) -> None:
        self._session = BrokerSession(alias)

    def open(self) -> int | None:
        """The socket to watch; None: the server cannot be reached now."""
        try:
            self._session.run(lambda connection, _: PostgresqlQueries().listen(connection), atomic=False)
            return int(self._driver().fileno())
        except (BrokerConnectionLost, BrokerRefused):
            return None

    def silence(self) -> bool:
        """Take the notifications in; False: the connection is dead."""
        try:
            driver = self._driver()
            if hasattr(driver, "pgconn"):  # psycopg 3
                driver.pgconn.consume_input()
                while driver.pgconn.notifies():
                    pass
            else:
                driver.poll()
                del driver.notifies[:]
        except Exception:  # noqa: BLE001 - each driver has its own classes, and all mean the same here
            return False
        return True

    def close(self) -> None:
        """Stop listening; may be called twice."""
        self._session.close()

    def _driver(self) -> Any:
        return self._session.connection().connection
