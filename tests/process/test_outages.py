"""The database goes away under a worker: it stays, loses nothing, and goes on."""

from pathlib import Path

import pytest
from django.db import connections

from tests.databases import emptied_afterwards
from tests.process.conftest import database_settings, made
from tests.process.project import Project, Worker, wait_until

TASKS = 300
CUTS = 3


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_worker_whose_connections_are_cut_loses_nothing(databases, tmp_path: Path, vendor: str) -> None:
    alias = databases.get(vendor)
    ledger = tmp_path / "ledger"
    with emptied_afterwards(alias):
        project = made(tmp_path / "project", database_settings(alias))
        with project.worker("-c", "2") as worker:
            project.python(
                f"""
                from tasks import note
                result = [note.delay({str(ledger)!r}, str(number), 0.01).id for number in range({TASKS})]
                """
            )
            for cut in range(1, CUTS + 1):
                _wait_for_progress(worker, cut * TASKS // (CUTS + 2))
                _cut_connections(alias)
                worker.wait_for_line("is back after", times=cut)
            wait_until(lambda: _waiting(project) == 0, "every message is done")

            assert worker.stop() == 0, worker.output

        done = [line for line in ledger.read_text().splitlines() if not line.startswith("begin")]
        assert set(done) == {str(number) for number in range(TASKS)}
        # What ran when its result could not be stored may run again; nothing else does.
        assert len(done) - TASKS <= CUTS * 2
        assert project.statuses() == {"SUCCESS": TASKS}
        assert "Connection to broker lost" not in worker.output


def _wait_for_progress(worker: Worker, tasks: int) -> None:
    worker.wait_for_line("succeeded", times=tasks)


def _waiting(project: Project) -> int:
    return int(project.python("from celeriac.models import Message; result = Message.objects.count()"))


def _cut_connections(alias: str) -> None:
    """End every other session in this database, as a restart of the server does."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        for (session,) in cursor.fetchall():
            cursor.execute("KILL %s", [session])
