"""Fault F9: the database server crashes under its workers and is started again."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.faults import account
from tests.process.own_servers import own_server
from tests.process.project import Worker, wait_until

TASKS, CRASHES, CONCURRENCY = 400, 2, 2
DOWN_SECONDS = 2.0


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_f9_a_crash_of_the_server_loses_nothing_and_ends_no_process(tmp_path: Path, vendor: str) -> None:
    ledger = tmp_path / "ledger"
    with own_server(vendor) as server:
        project = made(tmp_path / "project", f"DATABASES['default'] = {server.settings!r}")
        with project.worker("-c", str(CONCURRENCY)) as worker:
            processes = _processes(worker)
            acknowledged = set(
                project.python(
                    f"""
                    from tasks import note
                    result = [str(number) for number in range({TASKS})]
                    for number in result:
                        note.delay({str(ledger)!r}, number, 0.02)
                    """
                )
            )
            for crash in range(1, CRASHES + 1):
                wait_until(lambda crash=crash: _lines(ledger) > crash * 80, "tasks have run")
                server.crash()
                _stay_down()
                before = _lines(ledger)
                server.start()
                up_at = time.monotonic()
                _wait_for_more(ledger, before, worker)
                assert time.monotonic() - up_at < 5
            wait_until(lambda: project.statuses() == {"SUCCESS": TASKS}, "every result is stored")

            assert _processes(worker) == processes
            assert worker.stop() == 0, worker.output
        assert project.python("from celeriac.models import Message; result = Message.objects.count()") == 0

    found = account(ledger, acknowledged, {*acknowledged, *(f"begin {task}" for task in acknowledged)})
    assert not found.lost
    assert not found.unexpected
    begun = sum(count for line, count in found.runs.items() if line.startswith("begin"))
    # What ran when the server crashed may run again, and nothing else.
    assert begun - TASKS <= CRASHES * CONCURRENCY
    assert "Connection to broker lost" not in worker.output


def _processes(worker: Worker) -> set[int]:
    """The worker and its pool."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(worker.process.pid)], capture_output=True, check=True
    )
    return {worker.process.pid, *map(int, listed.stdout.split())}


def _wait_for_more(ledger: Path, before: int, worker: Worker) -> None:
    try:
        wait_until(lambda: _lines(ledger) > before, "the worker goes on")
    except AssertionError as error:
        raise AssertionError(f"{error} after {before} lines\n{worker.output[-4000:]}") from None


def _lines(ledger: Path) -> int:
    return len(ledger.read_bytes().splitlines()) if ledger.exists() else 0


def _stay_down() -> None:
    ends_at = time.monotonic() + DOWN_SECONDS
    wait_until(lambda: time.monotonic() > ends_at, "the server was away for a while")
