"""Faults F11 and F18: SQLite's one lock is held for long, and whoever listens on PostgreSQL is cut off."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connections

from tests.databases import emptied_afterwards
from tests.process.conftest import database_settings, made
from tests.process.faults import TASKS, account
from tests.process.project import Project, wait_until

PUBLISH = """
import time
from django.db import DatabaseError
from tasks import fail, note

acknowledged, attempted, errors, longest = [], [], [], 0.0
ends_at = time.monotonic() + {seconds}
number = 0
while time.monotonic() < ends_at:
    number += 1
    attempted.append(str(number))
    began = time.monotonic()
    try:
        (fail if number % 10 == 0 else note).delay({ledger!r}, str(number))
        acknowledged.append(str(number))
    except DatabaseError as error:
        errors.append(str(error))
    longest = max(longest, time.monotonic() - began)
    time.sleep(0.03)
result = acknowledged, attempted, errors, longest
"""

STAMPED = """
    import os, time
    from celery import shared_task

    @shared_task
    def stamp(path, text):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text} {time.time()}\\n".encode())
        os.close(file)
"""
PUBLISH_STAMPED = """
import time
from tasks import stamp
result = {{}}
ends_at = time.monotonic() + 9
while time.monotonic() < ends_at:
    text = str(len(result))
    result[text] = time.time()
    stamp.delay({ledger!r}, text)
    time.sleep(0.1)
"""
ELSEWHERE = """
    import sys
    if "start" not in sys.argv:
        CELERIAC = {{"RUNTIME_DIRECTORY": {directory!r}}}
"""


def test_f11_a_lock_of_seconds_reaches_no_publisher_and_a_long_one_clearly(
    sqlite_project: Project, tmp_path: Path
) -> None:
    project, ledger = sqlite_project, tmp_path / "ledger"
    project.write("tasks.py", TASKS)
    # As startproject makes it: Celeriac alone is patient, and not for as long as the longest lock is held.
    project.add_settings("DATABASES['default']['OPTIONS'] = {'transaction_mode': 'IMMEDIATE', 'timeout': 1}")
    file = project.directory / "db.sqlite3"
    with project.worker("-c", "2") as worker:
        with _repeatedly(lambda: _lock(file, 1.0), pause=0.5):
            short = project.python(PUBLISH.format(ledger=str(ledger), seconds=5))
        with _repeatedly(lambda: _lock(file, 14.0), pause=0.5):
            long = project.python(
                PUBLISH.format(ledger=str(ledger), seconds=10).replace("number = 0", "number = 1000")
            )
        acknowledged, attempted = {*short[0], *long[0]}, {*short[1], *long[1]}
        wait_until(lambda: not account(ledger, acknowledged).lost, "every task has run")
        wait_until(lambda: sum(project.statuses().values()) == len(acknowledged), "all are stored")
        wait_until(lambda: project.statuses().keys() <= {"SUCCESS", "FAILURE"}, "all have ended")
        assert worker.stop() == 0, worker.output

    assert short[2] == []
    assert set(long[2]) == {"database is locked"}
    # The patience, and one statement's own timeout.
    assert long[3] < 13
    found = account(ledger, acknowledged, attempted)
    assert (found.lost, found.unexpected, found.duplicates) == (set(), set(), 0)
    # Nothing is there of what was refused.
    assert set(found.runs) == acknowledged
    assert "Traceback" not in "".join(line for line in worker.lines if "MainProcess" in line)


def test_f18_who_listens_is_cut_off_every_two_seconds_and_no_message_waits_long(
    databases, tmp_path: Path
) -> None:
    alias, ledger = databases.get("postgresql"), tmp_path / "ledger"
    with emptied_afterwards(alias):
        project = made(tmp_path / "project", database_settings(alias))
        # Each publisher is another host: nothing but NOTIFY, or the look of each second, tells the worker.
        project.add_settings(ELSEWHERE.format(directory=str(tmp_path / "other")))
        (tmp_path / "other").mkdir(mode=0o700)
        project.write("tasks.py", STAMPED)
        with project.worker("-c", "2") as worker:
            wait_until(lambda: _listeners(alias), "somebody listens")
            cut: list[int] = []
            with _repeatedly(lambda: cut.append(_cut_listeners(alias)), pause=2.0):
                acknowledged = project.python(PUBLISH_STAMPED.format(ledger=str(ledger)))
            wait_until(lambda: len(_stamps(ledger)) == len(acknowledged), "every task has run")
            assert worker.stop() == 0, worker.output
    assert sum(cut) >= 3
    stamps = _stamps(ledger)
    assert stamps.keys() == acknowledged.keys()
    late = sorted(stamps[text] - acknowledged[text] for text in stamps)
    # The look of each second, and what a busy machine takes.
    assert late[int(len(late) * 0.98)] < 2.0, late[-10:]
    assert late[len(late) // 2] < 0.5, late


def _lock(file: Path, seconds: float) -> None:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        threading.Event().wait(seconds)
        connection.execute("ROLLBACK")


@contextmanager
def _repeatedly(action: Callable[[], object], *, pause: float) -> Iterator[None]:
    """Do it again and again in a thread, at least once and until the block has ended."""
    has_ended = threading.Event()

    def run() -> None:
        while not has_ended.wait(pause):
            action()
        connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join(60)


def _listeners(alias: str) -> list[int]:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%%'"
        )
        return [pid for (pid,) in cursor.fetchall()]


def _cut_listeners(alias: str) -> int:
    found = _listeners(alias)
    with connections[alias].cursor() as cursor:
        for pid in found:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(found)


def _stamps(ledger: Path) -> dict[str, float]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return {text: float(at) for text, at in map(str.split, lines)}
