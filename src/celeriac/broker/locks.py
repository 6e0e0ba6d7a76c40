"""A lock that the server or the kernel releases at the death of its holder, however it dies.

Nothing of the file system escapes from here: without its lock a worker lives by its heartbeat.
"""

import os
from contextlib import suppress
from pathlib import Path

from django.db import connections

from celeriac.broker import runtime
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries.mysql import MysqlQueries
from celeriac.broker.queries.postgresql import PostgresqlQueries
from celeriac.broker.session import BrokerSession

#: The first half of the advisory lock's key: "Cele" in ASCII.
_SPACE = 0x43656C65


class SessionLock:
    """The lock of one worker; `session` must live as long as the worker does."""

    def __init__(self, session: BrokerSession) -> None:
        self._session = session
        self._vendor = connections[session.alias].vendor
        # None on Windows too, where heartbeats alone tell who lives.
        self._directory = runtime.directory(session.alias) if self._vendor == "sqlite" else None
        self._fd: int | None = None

    @property
    def is_of_kernel(self) -> bool:
        """Whether this host's kernel keeps the locks, and not a server, which may miss the end of a host."""
        return self._vendor == "sqlite"

    def acquire(self, worker: int) -> bool:
        """Take the lock; False: heartbeats alone must do here."""
        if self._vendor == "sqlite":
            # A file's lock stays when the connection goes; a second handle would find it taken.
            if self._fd is None:
                self._fd = self._try_file(worker)
            return self._fd is not None
        if self._vendor == "postgresql" and not self._is_pinned():
            return False
        if not self._try_server(self._session, worker):
            return False
        if self._shuts_others_out(worker):
            return True
        self._unlock_server(self._session, worker)
        return False

    def is_free(self, worker: int) -> bool:
        """Whether the holder of that lock is dead. Only to be asked of one that has a lock."""
        if self._vendor == "sqlite":
            fd = self._try_file(worker)
            if fd is None:
                return False
            os.close(fd)
            self._remove_file(worker)
            return True
        if not self._try_server(self._session, worker):
            return False
        self._unlock_server(self._session, worker)
        return True

    def release(self, worker: int) -> None:
        """Give the lock up; the session's end would do it too."""
        if self._fd is not None:
            self._remove_file(worker)
        self.forget()

    def forget(self) -> None:
        """Close this process's handle; in a child of a fork the parent's lock stays."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _is_pinned(self) -> bool:
        """Whether statements reach one server process; behind a busy transaction pooler they do not."""
        postgresql = PostgresqlQueries()
        seen = {
            self._session.run(lambda connection, _: postgresql.session_id(connection), atomic=False)
            for _ in range(3)
        }
        return len(seen) == 1

    def _shuts_others_out(self, worker: int) -> bool:
        """Whether a second session cannot have the lock that the first one just took.

        An idle pooler passes for a server: it sends both sessions to one server process, and a lock that
        belongs to the process is granted to both.
        """
        probe = BrokerSession(self._session.alias)
        try:
            if not self._try_server(probe, worker):
                return True
            self._unlock_server(probe, worker)
        except (BrokerConnectionLost, BrokerRefused):
            pass  # No connection to spare: what cannot be proved is not relied on.
        finally:
            probe.close()
        return False

    def _try_server(self, session: BrokerSession, worker: int) -> bool:
        if self._vendor == "postgresql":
            return session.run(
                lambda connection, _: PostgresqlQueries().try_lock(connection, _SPACE, _key(worker)),
                atomic=False,
            )
        return session.run(
            lambda connection, _: MysqlQueries().try_lock(connection, self._name(worker)), atomic=False
        )

    def _unlock_server(self, session: BrokerSession, worker: int) -> None:
        if self._vendor == "postgresql":
            session.run(
                lambda connection, _: PostgresqlQueries().unlock(connection, _SPACE, _key(worker)),
                atomic=False,
            )
        else:
            session.run(
                lambda connection, _: MysqlQueries().unlock(connection, self._name(worker)), atomic=False
            )

    def _name(self, worker: int) -> str:
        # Named locks belong to the server, not to one of its databases; 64 characters at the most.
        database = str(connections[self._session.alias].settings_dict["NAME"])
        return f"celeriac:{database[:32]}:{worker}"

    def _path(self, worker: int) -> Path:
        assert self._directory is not None
        return self._directory / f"{worker}.lock"

    def _remove_file(self, worker: int) -> None:
        with suppress(OSError):
            self._path(worker).unlink()

    def _try_file(self, worker: int) -> int | None:
        """An open file with its lock; None: somebody else has it, or this host has no such locks."""
        if self._directory is None:
            return None
        try:
            return runtime.try_lock(self._path(worker))
        except OSError:
            return None


def _key(worker: int) -> int:
    return worker % 2**31
