"""A project from `django-admin startproject`, and the worker that runs it, as a user would have them."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: No event of a test takes longer on a busy machine.
DEADLINE_SECONDS = 60.0
_READY = re.compile(r" ready\.$")


class Worker:
    """A running `manage.py celery …`; its output is read as it comes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str | re.Pattern[str], times: int = 1) -> str:
        """Wait until so many lines match; the last of them. Fails with the whole output."""
        expression = re.compile(pattern)

        def matching() -> list[str]:
            return [line for line in self.lines if expression.search(line)]

        with self._changed:
            self._changed.wait_for(lambda: len(matching()) >= times or self._has_ended(), DEADLINE_SECONDS)
        found = matching()
        assert len(found) >= times, f"no line matches {expression.pattern!r}:\n{self.output}"
        return found[times - 1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(DEADLINE_SECONDS)
        self._reader.join(DEADLINE_SECONDS)
        return code

    def stop(self) -> int:
        """Warm shutdown; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill_group(self) -> None:
        """End what is left of it and of its children, whatever state they are in."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _has_ended(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


class Project:
    """A directory with manage.py, made when it is not there; `settings` are added to its settings file."""

    def __init__(self, directory: Path, settings: str) -> None:
        self.directory = directory
        if not directory.exists():
            self._start()
        self.add_settings(settings)

    def _start(self) -> None:
        self.directory.mkdir(parents=True)
        subprocess.run(
            [sys.executable, "-m", "django", "startproject", "proj", str(self.directory)],
            check=True,
            env=self.environment(),
        )
        self.add_settings('INSTALLED_APPS += ["django_celery_results", "celeriac"]')

    def add_settings(self, lines: str) -> None:
        with (self.directory / "proj" / "settings.py").open("a") as file:
            file.write(textwrap.dedent(lines) + "\n")

    def write(self, path: str, text: str) -> None:
        """Write a file of the project."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def manage(
        self, *arguments: str, check: bool = True, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run `manage.py`; fails with what it printed when `check`."""
        return self._run("manage.py", *arguments, check=check, **environment)

    def celery(
        self, *arguments: str, check: bool = True, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run Celery's own `celery`; fails with what it printed when `check`."""
        return self._run("-m", "celery", *arguments, check=check, **environment)

    def python(self, code: str, **environment: str) -> Any:
        """Run code in a process of the project, like a web process; the JSON value of `result`."""
        whole = (
            "import json, os, django\n"
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'proj.settings'\n"
            "django.setup()\n"
            f"{textwrap.dedent(code)}\n"
            "print('\\n' + json.dumps(result))\n"
        )
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", whole],
            cwd=self.directory,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS * 2,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return json.loads(ended.stdout.strip().splitlines()[-1])

    def popen(self, *arguments: str, program: tuple[str, ...] = ("manage.py",), **environment: str) -> Worker:
        """Start `manage.py` or another program of Python's, in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-u", "-W", "ignore", *program, *arguments],
            cwd=self.directory,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Worker(process)

    @contextmanager
    def worker(
        self,
        *options: str,
        command: str = "start",
        program: tuple[str, ...] = ("manage.py", "celery"),
        **environment: str,
    ) -> Iterator[Worker]:
        """A worker that is ready; whatever is left of it afterwards is killed."""
        worker = self.popen(command, *options, program=program, **environment)
        try:
            worker.wait_for_line(_READY)
            yield worker
        finally:
            worker.kill_group()

    def statuses(self) -> dict[str, int]:
        """The states in the result table and how many rows have each, by plain SQL."""
        return dict(
            self.python(
                """
                from django.db import connection
                with connection.cursor() as cursor:
                    cursor.execute(
                        "select status, count(*) from django_celery_results_taskresult group by status"
                    )
                    result = cursor.fetchall()
                """
            )
        )

    def broker(self) -> str:
        """The URL of the broker that the project uses."""
        return str(
            self.python("from celeriac.app import get_app; result = get_app().conf.broker_url or 'django://'")
        )

    def _run(self, *arguments: str, check: bool, **environment: str) -> "subprocess.CompletedProcess[str]":
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", *arguments],
            cwd=self.directory,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS * 2,
            check=False,
        )
        if check:
            assert ended.returncode == 0, f"{arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "CELERY_", "CELERIAC_", "PYTHON"))
        }
        return {**kept, "C_FORCE_ROOT": "1", **more}


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Ask until the condition holds, where nothing tells of the event; its value."""
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while time.monotonic() < deadline:
        if value := condition():
            return value
        tick.wait(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")
