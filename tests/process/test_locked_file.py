"""Fault F11: another process writes to the SQLite file for long, and the worker's loop goes on."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.process.project import Project, wait_until

LIMITED = """
    import time
    from celery import shared_task

    @shared_task(time_limit=2)
    def limited(ledger):
        with open(ledger, "a") as file:
            file.write("begun\\n")
        time.sleep(600)
"""


def test_neither_a_time_limit_nor_the_end_of_a_worker_waits_for_the_lock(
    sqlite_project: Project, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    sqlite_project.write("tasks.py", LIMITED)
    file = sqlite_project.directory / "db.sqlite3"
    with sqlite_project.worker("-c", "1") as worker, closing(_writer(file)) as writer:
        sqlite_project.python(f"import tasks; result = tasks.limited.delay({str(ledger)!r}).id")
        wait_until(ledger.exists, "the task has begun")
        writer.execute("BEGIN IMMEDIATE")

        worker.wait_for_line("Hard time limit")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.output

        writer.execute("ROLLBACK")
    assert worker.output.count("No messages for now") <= 6, worker.output


def _writer(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, timeout=30)
