"""RabbitMQ or Redis goes away under a project with the outbox: nothing is lost, and nobody waits for it."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.project import Project, wait_until
from tests.proxy import proxied

TASKS = 40

PUBLISH = """
import time
from django.db import transaction
from tasks import note
longest = 0.0
for number in range({first}, {first} + {count}):
    began = time.monotonic()
    with transaction.atomic():
        note.delay({ledger!r}, str(number))
    longest = max(longest, time.monotonic() - began)
result = longest
"""


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_what_is_published_in_an_outage_runs_after_it(request, tmp_path: Path, broker: str) -> None:
    ledger = tmp_path / "ledger"
    with proxied(request.getfixturevalue(f"{broker}_url")) as proxy:
        project = _project(tmp_path, proxy.url)
        with project.worker("-c", "2") as worker:
            _publish(project, ledger, 0)
            wait_until(lambda: len(_done(ledger)) == TASKS, "the first ones run")
            proxy.refuse()
            assert _publish(project, ledger, TASKS) < 9
            worker.wait_for_line("tasks wait in the outbox")
            proxy.come_back()
            wait_until(lambda: len(set(_done(ledger))) == 2 * TASKS, "the others run")
            wait_until(lambda: project.statuses() == {"SUCCESS": 2 * TASKS}, "their results are stored")
            assert worker.stop() == 0, worker.output

    assert worker.output.count("tasks wait in the outbox") == 1
    assert project.python("from celeriac.models import Outbox; result = Outbox.objects.count()") == 0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not on PATH")
def test_a_redis_that_is_killed_and_started_again_loses_nothing(tmp_path: Path) -> None:
    ledger, data = tmp_path / "ledger", tmp_path / "redis"
    data.mkdir()
    port = _free_port()
    project = _project(tmp_path, f"redis://127.0.0.1:{port}/0")
    # What ran when Redis was killed comes back soon, and not after an hour.
    project.add_settings("CELERY_BROKER_TRANSPORT_OPTIONS = {'visibility_timeout': 5}")
    with _redis(data, port) as server, project.worker("-c", "2") as worker:
        _publish(project, ledger, 0)
        server.kill()
        server.wait()
        assert _publish(project, ledger, TASKS) < 9
        with _redis(data, port):
            # Whatever kombu's first look came too early for waits for the next one, 100 s later.
            wait_until(lambda: len(set(_done(ledger))) == 2 * TASKS, "all run", seconds=150)
            assert worker.stop() == 0, worker.output


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not on PATH")
@pytest.mark.parametrize("is_careful", [True, False], ids=["careful", "careless"])
def test_a_worker_says_what_its_redis_would_lose(tmp_path: Path, is_careful: bool) -> None:
    port = _free_port()
    options = () if is_careful else ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    (tmp_path / "redis").mkdir()
    project = _project(tmp_path, f"redis://127.0.0.1:{port}/0")
    with _redis(tmp_path / "redis", port, *options), project.worker("-c", "1") as worker:
        told = {word: word in worker.output for word in ("appendonly no", "maxmemory-policy allkeys-lru")}

        assert worker.stop() == 0, worker.output
    assert set(told.values()) == {not is_careful}, worker.output


def _project(tmp_path: Path, url: str) -> Project:
    return made(tmp_path / "project", f"CELERY_BROKER_URL = {url!r}\nCELERIAC = {{'OUTBOX': True}}")


def _publish(project: Project, ledger: Path, first: int) -> float:
    """Publish so many, each in a transaction; how long the longest call took."""
    return float(project.python(PUBLISH.format(first=first, count=TASKS, ledger=str(ledger))))


def _done(ledger: Path) -> list[str]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [line for line in lines if not line.startswith("begin")]


@contextmanager
def _redis(directory: Path, port: int, *options: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A server of the test's own, with a log of each change."""
    settings = ("--port", str(port), "--dir", str(directory), "--save", "", "--appendonly", "yes")
    server = subprocess.Popen(["redis-server", *settings, *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), "Redis answers")
        yield server
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
