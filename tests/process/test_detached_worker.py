"""A worker in the background: the same command, without a terminal."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.project import Project, wait_until


@contextmanager
def ended(pidfile: Path) -> Iterator[None]:
    """Stop the worker that wrote the file, and leave none behind."""
    try:
        yield
        wait_until(lambda: pidfile.exists() and pidfile.read_text().strip(), "the worker writes its pid")
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
        wait_until(lambda: not pidfile.exists(), "the worker ends")
    finally:
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("words", [["start", "-D"], ["start", "-BD"], ["worker", "--detach", "-l", "info"]])
def test_a_detached_worker_runs_the_tasks(sqlite_project: Project, tmp_path: Path, words: list[str]) -> None:
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    files = [f"--pidfile={pidfile}", "--logfile", str(log), "-s", str(tmp_path / "schedule")]

    with ended(pidfile):
        sqlite_project.manage("celery", *words, "-c", "1", *files)
        value = sqlite_project.python("from tasks import add; result = add.delay(2, 2).get(timeout=60)")
        command = Path(f"/proc/{pidfile.read_text().strip()}/cmdline").read_bytes().decode().split("\0")

    assert value == 4
    program = command.index(str(sqlite_project.directory / "manage.py"))
    assert command[program + 1 : program + 3] == ["celery", words[0]]
    assert " ready." in log.read_text()


def test_a_detached_worker_is_told_of_a_fault_before_it_leaves(sqlite_project: Project) -> None:
    sqlite_project.add_settings('CELERY_BROKER_URL = "django://nowhere"')

    said = sqlite_project.manage("celery", "start", "-D", check=False)

    assert said.returncode == 2
    assert "names the database 'nowhere'" in said.stderr


def test_a_program_that_calls_the_command_is_not_started_again(sqlite_project: Project) -> None:
    said = sqlite_project.python(
        """
        from django.core.management import CommandError, call_command
        try:
            call_command("celery", "start", "--detach")
        except CommandError as error:
            result = str(error)
        """
    )

    assert said == "--detach is for the command line: manage.py celery start --detach"
