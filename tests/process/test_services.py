"""The files of `celery service`, run by what they are for: supervisord, a check of systemd's, a shell."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.conftest import made
from tests.process.project import DEADLINE_SECONDS, Project, Worker, wait_until
from tests.servers import do_without


@pytest.fixture
def spaced_project(tmp_path: Path) -> Project:
    """A project on SQLite, in a directory that every format has to write with care."""
    return made(tmp_path / "my 50% project")


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


class Supervisor:
    """A supervisord of the test's own, with the section that was written for the project."""

    def __init__(self, directory: Path, section: Path) -> None:
        self.directory = directory
        self.file = directory / "supervisord.conf"
        self.log = directory / "supervisord.log"
        self.file.write_text(
            textwrap.dedent(
                f"""
                [unix_http_server]
                file={directory}/sock
                [supervisord]
                nodaemon=true
                logfile={self.log}
                pidfile={directory}/pid
                [rpcinterface:supervisor]
                supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
                [supervisorctl]
                serverurl=unix://{directory}/sock
                [include]
                files={section}
                """
            )
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(self.file)]
        process = subprocess.Popen(
            command, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS * 2)

    def waits(self) -> int:
        """How often it has said, every two seconds, that it waits for a program that it stops."""
        return self.log.read_text().count("waiting for worker to stop")

    def control(self, *words: str) -> str:
        """What supervisorctl prints, when it is done."""
        return self.begin(*words).communicate(timeout=DEADLINE_SECONDS)[0]

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", str(self.file)]
        return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)


def test_under_supervisord_a_restart_and_a_stop_wait_for_the_running_task(spaced_project: Project) -> None:
    with tempfile.TemporaryDirectory(prefix="sv") as place:  # A socket's path is short.
        directory = Path(place)
        secrets = directory / "secrets.env"
        secrets.write_text("GREETING='50% off'\n")
        words = ["--write", place, "--logs", place, "--env-file", str(secrets), "--concurrency", "1"]
        spaced_project.manage("celery", "service", "supervisord", *words, "--name", "worker")
        supervisor = Supervisor(directory, directory / "worker.conf")

        with supervisor.running():
            output = directory / "worker.log"
            wait_until(lambda: any(line.endswith(" ready.") for line in lines(output)), "the worker is ready")
            first = int(supervisor.control("pid", "worker"))
            environment = Path(f"/proc/{first}/environ").read_bytes().split(b"\0")
            task = HeldTask(spaced_project, directory / "first")
            restarting = supervisor.begin("restart", "worker")
            task.ends_while(supervisor)
            # supervisorctl still waits for `startsecs`.
            task = HeldTask(spaced_project, directory / "second")
            restarted = restarting.communicate(timeout=DEADLINE_SECONDS)[0]
            second = int(supervisor.control("pid", "worker"))
            stopping = supervisor.begin("stop", "worker")
            task.ends_while(supervisor)
            stopped = stopping.communicate(timeout=DEADLINE_SECONDS)[0]

        said = supervisor.log.read_text()
    assert restarted.splitlines() == ["worker: stopped", "worker: started"]
    assert stopped.splitlines() == ["worker: stopped"]
    assert first != second
    assert b"GREETING=50% off" in environment
    assert said.count("stopped: worker (exit status 0)") == 2, said
    assert "SIGKILL" not in said
    assert spaced_project.statuses() == {"SUCCESS": 2}


class HeldTask:
    """A task that runs until it is let go."""

    def __init__(self, project: Project, path: Path) -> None:
        self._notes, self._gate = path, path.with_suffix(".gate")
        paths = f"{str(self._notes)!r}, {str(self._gate)!r}"
        project.python(f"from tasks import hold; result = hold.delay({paths}).id")
        wait_until(lambda: lines(self._notes) == ["begin"], "the task begins")

    def ends_while(self, supervisor: Supervisor) -> None:
        """Let it go when supervisord has waited for it for seconds; it ran once, and to its end."""
        before = supervisor.waits()
        wait_until(lambda: supervisor.waits() >= before + 2, "supervisord waits for the worker")
        assert lines(self._notes) == ["begin"]
        self._gate.touch()
        wait_until(lambda: lines(self._notes) != ["begin"], "the task goes on")
        assert lines(self._notes) == ["begin", "end"]


def test_systemd_finds_no_fault_in_the_units(spaced_project: Project, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        do_without("systemd-analyze is missing; apt-get install systemd.")
    queues = ["--queues", "celery,low", "--queues", 'mail "a" $b', "--instances", "2"]
    spaced_project.manage("celery", "service", "systemd", "--write", str(tmp_path), "--name", "one")
    spaced_project.manage("celery", "service", "systemd", "--write", str(tmp_path), "--name", "many", *queues)
    units = sorted(str(path) for path in [*tmp_path.glob("*.service"), *tmp_path.glob("*.target")])

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert [Path(unit).name for unit in units] == [
        "many-celery-low@.service", "many-mail-a-b@.service", "many.target", "one.service"
    ]  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_procfiles_worker_is_what_its_shell_becomes_and_tells_systemd(
    sqlite_project: Project, tmp_path: Path
) -> None:
    sqlite_project.manage("celery", "service", "procfile", "--write", str(sqlite_project.directory))
    (line,) = [each for each in lines(sqlite_project.directory / "Procfile") if not each.startswith("#")]
    parts = re.fullmatch(r"([A-Za-z0-9_-]+):\s*(.+)", line)
    assert parts is not None

    with tempfile.TemporaryDirectory(prefix="n") as place, told_to_systemd(Path(place) / "s") as told:
        worker = Worker(
            subprocess.Popen(
                ["/bin/sh", "-c", parts[2]],
                cwd=sqlite_project.directory,
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "C_FORCE_ROOT": "1",
                    "NOTIFY_SOCKET": f"{place}/s",
                    "WATCHDOG_USEC": "2000000",
                    "PYTHONWARNINGS": "ignore",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        try:
            assert told.recv(1000) == b"READY=1\nSTATUS=takes tasks from celery"
            assert told.recv(1000) == b"WATCHDOG=1"
            worker.signal(signal.SIGTERM)
            wait_until(lambda: told.recv(1000).startswith(b"STOPPING=1"), "the worker says that it stops")
            assert worker.wait() == 0
        finally:
            worker.kill_group()
    assert parts[1] == "proj-worker"


@contextmanager
def told_to_systemd(path: Path) -> Iterator[socket.socket]:
    """The socket that systemd would listen to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(DEADLINE_SECONDS)
        yield told
