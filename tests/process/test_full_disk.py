"""Fault F15: the disk with the SQLite file, its locks and its journals is full for a while."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.faults import account
from tests.process.project import Project, wait_until

TASKS = """
    import os, time
    from celery import shared_task

    @shared_task
    def note(path, text, padding=""):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text}\\n".encode())
        os.close(file)
        return len(padding)

    @shared_task
    def hold(path, text, gate):
        note(path, f"begin {text}")
        while not os.path.exists(gate):
            time.sleep(0.01)
        note(path, text)
        return "x" * 200_000
"""
PUBLISH = """
import time
from django.db import DatabaseError
from tasks import note

acknowledged, error, longest = [], None, 0.0
for number in range(3000):
    began = time.monotonic()
    try:
        note.delay({ledger!r}, str(number), "x" * 4000)
        acknowledged.append(str(number))
    except DatabaseError as refused:
        error = str(refused)
        break
    finally:
        longest = max(longest, time.monotonic() - began)
result = acknowledged, error, longest
"""


def test_f15_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    with _small_disk(tmp_path / "disk") as disk:
        project = made(tmp_path / "project", f"DATABASES['default']['NAME'] = {str(disk / 'db.sqlite3')!r}")
        project.write("tasks.py", TASKS)
        with project.worker("-c", "2") as worker:
            before = project.python(
                f"""
                from tasks import hold, note
                for name in ("one", "two"):
                    hold.delay({str(ledger)!r}, name, {str(gate)!r})
                result = [f"before {{number}}" for number in range(30)]
                for text in result:
                    note.delay({str(ledger)!r}, text)
                """
            )
            wait_until(lambda: "begin two" in _lines(ledger) and "begin one" in _lines(ledger), "both run")
            _fill(disk)
            acknowledged, error, longest = project.python(PUBLISH.format(ledger=str(ledger)))
            assert error is not None, "somebody is told that the disk is full"
            assert "full" in error or "disk" in error, error
            assert "\n" not in error
            assert longest < 11
            acknowledged += before
            # What they return is too much for the journal and for the disk.
            gate.touch()
            wait_until(lambda: {"one", "two"} <= set(_lines(ledger)), "both have ended")
            worker.wait_for_line("waits? for the database")

            (disk / "filler").unlink()
            freed_at = time.monotonic()
            wait_until(lambda: set(acknowledged) <= set(_lines(ledger)), "every task has run")
            assert time.monotonic() - freed_at < 5 + len(acknowledged) / 50
            wait_until(lambda: project.statuses() == {"SUCCESS": len(acknowledged) + 2}, "all is stored")
            assert worker.stop() == 0, worker.output
        assert _check(project) == [["ok"], 0]

    begun = {"begin one", "begin two", "one", "two"}
    found = account(ledger, {*acknowledged, *begun})
    assert (found.lost, found.unexpected, found.duplicates) == (set(), set(), 0)
    assert "Traceback" not in worker.output


@contextmanager
def _small_disk(directory: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(directory)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("A small disk is a mount of tmpfs, which needs root and the right to mount.")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _fill(disk: Path) -> None:
    file = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(file, bytes(4096)):
            pass
    os.close(file)


def _lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines() if ledger.exists() else []


def _check(project: Project) -> list[object]:
    return list(
        project.python(
            """
            from django.db import connection
            from celeriac.models import Message
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA integrity_check")
                result = list(cursor.fetchone()), Message.objects.count()
            """
        )
    )
