"""While results wait for the database the pool goes on, on RabbitMQ and Redis; nothing is lost or doubled."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.project import Project, wait_until

#: Two processes, Celery's four messages for each, and eight times as many beside them.
COUNTED, WAITING = 8, 64
MORE = 20
NOTES = COUNTED - 2 + WAITING + MORE
PUBLISH = """
from tasks import hold, note
for _ in range(2):
    hold.delay({ledger!r}, {gate!r})
for number in range({count}):
    note.delay({ledger!r}, str(number))
result = None
"""
#: What no worker has taken.
DEPTH = """
from celeriac.app import get_app
with get_app().connection_for_read() as connection:
    result = connection.default_channel.queue_declare("celery", passive={passive}, durable=True).message_count
"""


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_the_pool_goes_on_while_results_wait(request, tmp_path: Path, broker: str) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    project = _project(request, tmp_path, broker)
    with project.worker("-c", "2") as worker:
        with _waiting(project, ledger, gate):
            wait_until(lambda: _depth(project, broker) == MORE, "the others are left for other workers")
        wait_until(lambda: project.statuses() == {"SUCCESS": NOTES + 2}, "all results are stored")
        assert worker.stop() == 0, worker.output

    assert set(_noted(ledger).values()) == {1}
    assert set(_noted(ledger)) == set(map(str, range(NOTES)))
    assert _depth(project, broker) == 0


def test_what_waits_at_a_kill_is_stored_all_the_same(rabbitmq_url: str, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    project = made(tmp_path / "project", f"CELERY_BROKER_URL = {rabbitmq_url!r}")
    with project.worker("-c", "2") as worker, _waiting(project, ledger, gate):
        worker.kill_group()
    with project.worker("-c", "2") as worker:
        wait_until(lambda: project.statuses() == {"SUCCESS": NOTES + 2}, "all results are stored")
        wait_until(lambda: _depth(project, "rabbitmq") == 0, "nothing is left")
        assert worker.stop() == 0, worker.output

    # RabbitMQ gives what was not acknowledged once more, and nothing else.
    assert set(_noted(ledger)) == set(map(str, range(NOTES)))
    assert max(_noted(ledger).values()) <= 2


def _project(request, tmp_path: Path, broker: str) -> Project:
    url = request.getfixturevalue(f"{broker}_url")
    return made(tmp_path / "project", f"CELERY_BROKER_URL = {url!r}")


@contextmanager
def _waiting(project: Project, ledger: Path, gate: Path) -> Iterator[None]:
    """As many tasks as may have run, and their results wait for the database."""
    project.python(PUBLISH.format(ledger=str(ledger), gate=str(gate), count=NOTES))
    wait_until(lambda: _lines(ledger)["begin"] == 2, "both processes are held")
    with _locked(project):
        gate.touch()
        wait_until(lambda: len(_noted(ledger)) == NOTES - MORE, "all that may wait have run")
        yield


@contextmanager
def _locked(project: Project) -> Iterator[None]:
    """Nobody else can write into the project's SQLite file."""
    connection = sqlite3.connect(project.directory / "db.sqlite3", isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _lines(ledger: Path) -> Counter[str]:
    return Counter(ledger.read_text().splitlines() if ledger.exists() else [])


def _noted(ledger: Path) -> dict[str, int]:
    return {line: times for line, times in _lines(ledger).items() if line.isdigit()}


def _depth(project: Project, broker: str) -> int:
    return int(project.python(DEPTH.format(passive=broker == "rabbitmq")))
