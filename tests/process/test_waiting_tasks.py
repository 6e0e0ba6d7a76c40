"""Fault F22: thousands of tasks with an ETA wait in the database, and a worker dies while they become due."""

import re
import signal
from pathlib import Path

from tests.process.project import Project, Worker, wait_until

TASKS = """
    import os, time
    from celery import shared_task

    @shared_task
    def stamp(path, text, due_at):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text} {time.time() - due_at:.4f}\\n".encode())
        os.close(file)
"""
PUBLISH = """
import time
from datetime import datetime, timezone
import celeriac
from tasks import stamp

#: When the first is due; the others follow each other closely.
begin = time.time() + 15
with celeriac.bulk():
    for number in range({later}):
        stamp.apply_async(({ledger!r}, "never", 0.0), countdown=3600 + number)
    for number in range({due}):
        due_at = begin + number * {spread} / {due}
        eta = datetime.fromtimestamp(due_at, timezone.utc)
        stamp.apply_async(({ledger!r}, str(number), due_at), eta=eta)
result = time.time() - begin
"""
#: Tasks that are not due in this test, those that are, the seconds in which they are, and pool processes.
LATER, DUE, SPREAD, CONCURRENCY = 4_000, 1_000, 10, 2


def test_f22_tasks_that_wait_are_in_no_workers_memory_and_survive_its_kill(
    sqlite_project: Project, tmp_path: Path
) -> None:
    project, ledger = sqlite_project, tmp_path / "ledger"
    project.write("tasks.py", TASKS)
    with project.worker("-c", str(CONCURRENCY), "-n", "first@%h") as first:
        before = _resident_bytes(first)
        assert project.python(PUBLISH.format(ledger=str(ledger), later=LATER, due=DUE, spread=SPREAD)) < 0
        with project.worker("-c", str(CONCURRENCY), "-n", "second@%h") as second:
            wait_until(lambda: len(_stamps(ledger)) > DUE / 4, "some were due")
            grown = _resident_bytes(first) - before
            first.signal(signal.SIGKILL)
            first.wait()
            wait_until(lambda: len({text for text, _ in _stamps(ledger)}) == DUE, "all that are due have run")
            assert second.stop() == 0, second.output

    stamps = _stamps(ledger)
    late = sorted(seconds for _, seconds in stamps)
    assert late[0] >= 0, "none is early"
    # What the killed worker held comes again within seconds, the others at once.
    assert late[len(late) // 2] < 1, late[len(late) // 2]
    assert len(stamps) - DUE <= CONCURRENCY
    assert grown < 10_000_000


def _resident_bytes(worker: Worker) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def _stamps(ledger: Path) -> list[tuple[str, float]]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [(text, float(seconds)) for text, seconds in map(str.split, lines)]
