"""The four servers that tests use: where each answers, how to start it, and what is done without it.

Every address can be set with an environment variable, as a URL. Where a server does not answer, the
tests that need it are skipped with a line that says so; `CELERIAC_REQUIRE_SERVERS=1` makes them fail.
"""

import os
import socket
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import NoReturn
from urllib.parse import unquote, urlsplit

CONNECT_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Server:
    """A server on the network, and the Python module that speaks to it."""

    title: str
    variable: str
    default_url: str
    start: str
    client: str
    client_install: str

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default_url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; those of the default where the URL names none."""
        given, default = urlsplit(self.url), urlsplit(self.default_url)
        return given.hostname or "127.0.0.1", given.port or default.port or 0

    def django_settings(self) -> dict[str, str | int]:
        """The keys of a DATABASES entry that say where the server is and who connects."""
        host, port = self.address
        parts = urlsplit(self.url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return {"HOST": host, "PORT": port, "USER": user, "PASSWORD": password}

    def reason_unreachable(self) -> str | None:
        """Why tests cannot use the server, with what to do about it; None when they can."""
        if find_spec(self.client) is None:
            return f"{self.title}: the Python module {self.client} is missing; {self.client_install}."
        host, port = self.address
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except OSError:
            advice = f"start it ({self.start}) or set {self.variable}"
            return f"{self.title} does not answer on {host}:{port}; {advice}."
        return None


DATABASE_SERVERS = {
    "postgresql": Server(
        title="PostgreSQL",
        variable="CELERIAC_TEST_POSTGRESQL",
        default_url="postgresql://postgres@127.0.0.1:5432",
        start="systemctl start postgresql, or pg_ctlcluster VERSION main start",
        client="psycopg",
        client_install="pip install 'psycopg[binary]'",
    ),
    "mariadb": Server(
        title="MariaDB",
        variable="CELERIAC_TEST_MARIADB",
        default_url="mysql://root@127.0.0.1:3306",
        start="systemctl start mariadb",
        client="MySQLdb",
        client_install="apt-get install libmariadb-dev pkg-config gcc python3-dev, then make test again",
    ),
}
BROKER_SERVERS = {
    "redis": Server(
        title="Redis",
        variable="CELERIAC_TEST_REDIS",
        default_url="redis://127.0.0.1:6379",
        start="redis-server --daemonize yes --save ''",
        client="redis",
        client_install="pip install 'celery[redis]'",
    ),
    "rabbitmq": Server(
        title="RabbitMQ",
        variable="CELERIAC_TEST_RABBITMQ",
        default_url="amqp://guest:guest@127.0.0.1:5672",
        start="systemctl start rabbitmq-server, or rabbitmq-server -detached",
        client="amqp",
        client_install="pip install amqp",
    ),
}
SERVERS = DATABASE_SERVERS | BROKER_SERVERS


@cache
def reason_unreachable(name: str) -> str | None:
    """Why the server cannot be used, asked once a session; None when it can."""
    return SERVERS[name].reason_unreachable()


def require(name: str) -> Server:
    """The server, which answers; the test is skipped without it, or fails where servers are required."""
    reason = reason_unreachable(name)
    if reason is not None:
        do_without(reason)
    return SERVERS[name]


def do_without(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it where servers are required."""
    import pytest  # Not above: every process that runs with `tests.settings` imports this file.

    if os.environ.get("CELERIAC_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
