"""Database servers that a run starts for itself, to end them as a crash does: nobody else uses them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.limits import MeasurementFailed, wait_until
from benchmarks.places import Unreachable

LIMIT_SECONDS = 60.0


class OwnServer:
    """A server with its data in a directory; started, crashed and started again by whoever made it."""

    def __init__(
        self, command: list[str], *, port: int, settings: dict[str, Any], crash: signal.Signals
    ) -> None:
        self.settings = {"HOST": "127.0.0.1", "PORT": port, **settings}
        self._command = command
        self._crash = crash
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> dict[str, str | int]:
        """The keys of a DATABASES entry that say where it is and who connects."""
        return {**{key: self.settings[key] for key in ("HOST", "PORT", "USER")}, "PASSWORD": ""}

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "the server answers", limit_seconds=LIMIT_SECONDS)

    def crash(self) -> None:
        """End it without a farewell, as a power cut or `kill -9` does."""
        if self._process is not None:
            self._process.send_signal(self._crash)
            self._process.wait(LIMIT_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise MeasurementFailed(f"{self._command[0]} has ended")
        return _is_let_in(self.settings)


@contextmanager
def own_server(vendor: str) -> Iterator[OwnServer]:
    """A server with an empty database, running. Raises Unreachable where its programs are missing."""
    # Of its own, for another account must be able to go there.
    directory = Path(tempfile.mkdtemp(prefix="celeriac-server-"))
    try:
        server = {"postgresql": _postgresql, "mariadb": _mariadb}[vendor](directory)
        try:
            server.start()
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(directory)


def _postgresql(directory: Path) -> OwnServer:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise Unreachable("PostgreSQL: its programs are not in /usr/lib/postgresql; install the server here.")
    # It does not run as root.
    account = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    )
    data = directory / "postgresql"
    if account:
        shutil.chown(directory, "postgres", "postgres")
    initdb = [f"{programs[-1]}/initdb", "--no-sync", "--auth=trust", "--username=postgres", "-D", str(data)]
    subprocess.run([*account, *initdb], check=True, capture_output=True)
    port = _free_port()
    command = [*account, f"{programs[-1]}/postgres", "-D", str(data), "-k", "", "-p", str(port)]
    settings = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres"}
    # What `pg_ctl stop -m immediate` sends. After SIGKILL its processes would live on for a moment.
    return OwnServer(command, port=port, settings=settings, crash=signal.SIGQUIT)


def _mariadb(directory: Path) -> OwnServer:
    program, install = shutil.which("mariadbd", path=_SBIN), shutil.which("mariadb-install-db", path=_SBIN)
    if program is None or install is None:
        raise Unreachable("MariaDB: mariadbd and mariadb-install-db are not here; install the server here.")
    data, user = directory / "mariadb", f"--user={pwd.getpwuid(os.getuid()).pw_name}"
    options = ["--auth-root-authentication-method=normal", "--skip-test-db", f"--datadir={data}", user]
    subprocess.run([install, "--no-defaults", *options], check=True, capture_output=True)
    first = directory / "first.sql"
    first.write_text("CREATE DATABASE IF NOT EXISTS own CHARACTER SET utf8mb4;")
    port = _free_port()
    command = [
        program,
        "--no-defaults",
        f"--datadir={data}",
        user,
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--socket={data}/socket",
        f"--pid-file={data}/pid",
        f"--init-file={first}",
    ]
    settings = {"ENGINE": "django.db.backends.mysql", "NAME": "own", "USER": "root"}
    return OwnServer(command, port=port, settings=settings, crash=signal.SIGKILL)


_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"


def _is_let_in(settings: dict[str, Any]) -> bool:
    try:
        if "postgresql" in settings["ENGINE"]:
            import psycopg

            psycopg.connect(
                host=settings["HOST"], port=settings["PORT"], user=settings["USER"], dbname=settings["NAME"]
            ).close()
        else:
            import MySQLdb

            MySQLdb.connect(
                host=settings["HOST"], port=settings["PORT"], user=settings["USER"], db=settings["NAME"]
            ).close()
    except Exception:  # noqa: BLE001 - each driver has its own
        return False
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
