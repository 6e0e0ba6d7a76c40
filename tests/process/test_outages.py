"""The database goes away under a worker: it stays, loses nothing, and goes on."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections

from tests.databases import emptied_afterwards
from tests.process.conftest import database_settings, made
from tests.process.project import Project, Worker, wait_until

TASKS = 300
CUTS = 3


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_worker_whose_connections_are_cut_loses_nothing(databases, tmp_path: Path, vendor: str) -> None:
    alias = databases.get(vendor)
    ledger = tmp_path / "ledger"
    with emptied_afterwards(alias), _account(alias) as account:
        project = made(tmp_path / "project", database_settings(alias))
        project.add_settings(f"DATABASES['default'].update({account!r})")
        with project.worker("-c", "2") as worker:
            project.python(
                f"""
                from tasks import note
                result = [note.delay({str(ledger)!r}, str(number), 0.01).id for number in range({TASKS})]
                """
            )
            for cut in range(1, CUTS + 1):
                _wait_for_progress(worker, cut * TASKS // (CUTS + 2))
                # Whoever finds its connection cut makes another one; that the rest gets on shows it.
                wait_until(lambda: _cut_connections(alias, account.get("USER")), "there is one to cut")
            wait_until(lambda: _waiting(project) == 0, "every message is done")

            assert worker.stop() == 0, worker.output

        done = [line for line in ledger.read_text().splitlines() if not line.startswith("begin")]
        assert set(done) == {str(number) for number in range(TASKS)}
        # What ran when its result could not be stored may run again; nothing else does.
        assert len(done) - TASKS <= CUTS * 2
        assert project.statuses() == {"SUCCESS": TASKS}
        assert "Connection to broker lost" not in worker.output


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_that_ends_while_nobody_can_connect_keeps_its_result(
    databases, tmp_path: Path, vendor: str, pool: str
) -> None:
    alias = databases.get(vendor)
    ledger, flag = tmp_path / "ledger", tmp_path / "flag"
    with emptied_afterwards(alias), _account(alias) as account:
        project = made(tmp_path / "project", database_settings(alias))
        project.add_settings(f"DATABASES['default'].update({account!r})")
        with project.worker("-c", "1", "-P", pool) as worker:
            project.python(f"from tasks import hold; result = hold.delay({str(ledger)!r}, {str(flag)!r}).id")
            wait_until(ledger.exists, "the task has begun")
            with _closed(alias, account):
                flag.touch()
                # Longer than a process that does not run a task would try.
                worker.wait_for_line("Results of tasks wait for the database", times=2)
            worker.wait_for_line("is back after")
            wait_until(lambda: _waiting(project) == 0, "the message is done")

            assert worker.stop() == 0, worker.output

        assert project.statuses() == {"SUCCESS": 1}
        assert ledger.read_text() == "begin\nend\n"
        assert "Traceback" not in worker.output
        assert len(worker.lines) < 60, worker.output


def test_a_server_that_ends_idle_sessions_fails_no_task(databases, tmp_path: Path) -> None:
    alias = databases.get("postgresql")
    with emptied_afterwards(alias), _idle_limit(alias, "3s"):
        project = made(tmp_path / "project", database_settings(alias))
        with project.worker("-c", "1") as worker:
            for number in (1, 2):
                # The process of the pool stores a failure itself, over a session of its own.
                project.python("from tasks import fail; result = fail.delay().id")
                worker.wait_for_line("raised unexpected", times=number)
                idle = _sessions(alias)
                # Those that look at the database every second stay; the one for results is among the others.
                wait_until(lambda idle=idle: idle - _sessions(alias), "the server has ended idle sessions")

            assert worker.stop() == 0, worker.output

        assert project.statuses() == {"FAILURE": 2}


@contextmanager
def _idle_limit(alias: str, limit: str) -> Iterator[None]:
    connection = connections[alias]
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '{limit}'")
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET idle_session_timeout")


def _sessions(alias: str) -> set[int]:
    """The server's processes for what has stored a result."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return {pid for (pid,) in cursor.fetchall()}


@contextmanager
def _account(alias: str) -> Iterator[dict[str, Any]]:
    """Who connects: on MariaDB somebody who can be shut out, and the test not with them."""
    if connections[alias].vendor == "postgresql":
        yield {}
        return
    name = f"celeriac_{uuid.uuid4().hex[:12]}"
    with connections[alias].cursor() as cursor:
        cursor.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY 'x'", [])
        try:
            cursor.execute(f"GRANT ALL ON *.* TO {name}@'%%'", [])
            yield {"USER": name, "PASSWORD": "x"}
        finally:
            connections[alias].cursor().execute(f"DROP USER {name}@'%%'", [])


@contextmanager
def _closed(alias: str, account: dict[str, Any]) -> Iterator[None]:
    """Refuse every new connection and end those that are there."""
    _allow(alias, account, is_allowed=False)
    try:
        # Once more: one that is only being made, or that dies slowly, is not among the first.
        wait_until(lambda: _cut_connections(alias, account.get("USER")) == 0, "nobody is connected")
        yield
    finally:
        _allow(alias, account, is_allowed=True)


def _allow(alias: str, account: dict[str, Any], *, is_allowed: bool) -> None:
    connection = connections[alias]
    if connection.vendor == "postgresql":
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        connection.ensure_connection()
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(is_allowed).lower()}")
        return
    with connection.cursor() as cursor:
        verb = "UNLOCK" if is_allowed else "LOCK"
        cursor.execute(f"ALTER USER {account['USER']}@'%%' ACCOUNT {verb}", [])


def _wait_for_progress(worker: Worker, tasks: int) -> None:
    worker.wait_for_line("succeeded", times=tasks)


def _waiting(project: Project) -> int:
    return int(project.python("from celeriac.models import Message; result = Message.objects.count()"))


def _cut_connections(alias: str, user: str | None = None) -> int:
    """End every other session in this database, as a restart of the server does; how many there were."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return len(cursor.fetchall())
        cursor.execute(
            # MariaDB does not tell the database of a session that is busy at that moment, but its user.
            "SELECT id FROM information_schema.processlist"
            " WHERE (db = DATABASE() OR user = %s) AND id <> CONNECTION_ID()",
            [user],
        )
        sessions = cursor.fetchall()
        for (session,) in sessions:
            # It may have ended by itself.
            with suppress(OperationalError):
                cursor.execute("KILL %s", [session])
        return len(sessions)
