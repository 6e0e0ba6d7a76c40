"""A process of the demo: its output with a name before each line, and its end together with the demo's."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

MANAGE = Path(__file__).resolve().parent / "manage.py"
LAST_LINES = 15
#: A running task is finished first; after that long it is killed.
END_SECONDS = 30


class DemoError(Exception):
    """Ends the demo with a line that says what went wrong."""


class Child:
    """One `manage.py` process, in a group of its own: Ctrl-C reaches the demo alone."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, is_quiet: bool = False, only_errors: bool = False
    ) -> None:
        self.name = name
        self._is_quiet = is_quiet
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._said: set[str] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-u", str(MANAGE), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if only_errors else subprocess.PIPE,
            stderr=subprocess.PIPE if only_errors else subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "DJANGO_RUNSERVER_HIDE_WARNING": "true"},
            start_new_session=True,
        )
        self._output = self._process.stdout or self._process.stderr
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def said(self, end: str) -> bool:
        """Whether a line of its output has ended so."""
        return any(line.endswith(end) for line in list(self._said))

    def last_lines(self) -> str:
        return "\n".join(f"{self.name} | {line}" for line in list(self._lines))

    def check(self) -> None:
        """Raise DemoError with its last lines when it has ended by itself."""
        if self.is_running:
            return
        self._reader.join(2)
        shown = "" if not self._is_quiet else f"\n{self.last_lines()}"
        raise DemoError(f"the {self.name} ended by itself with exit code {self._process.returncode}{shown}")

    def stop(self) -> None:
        """Ask it to end; a worker finishes its running tasks."""
        if self.is_running:
            self._process.terminate()

    def wait(self, is_urgent: Callable[[], bool]) -> bool:
        """Whether it ended in time, or else was killed with what it had started."""
        deadline = time.monotonic() + END_SECONDS
        while self.is_running and time.monotonic() < deadline and not is_urgent():
            time.sleep(0.05)
        was_running = self.is_running
        self._kill_group()
        self._process.wait()
        self._reader.join(2)
        return not was_running

    def _kill_group(self) -> None:
        """Also when it has ended: a process of its pool may have outlived it."""
        if not hasattr(os, "killpg"):
            self._process.kill()
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # Nobody is left in the group.

    def _read(self) -> None:
        assert self._output is not None
        width = shutil.get_terminal_size((160, 24)).columns
        for line in self._output:
            text = line.rstrip()
            self._lines.append(text)
            if text.endswith(" ready."):
                self._said.add(text)
            if text and not self._is_quiet:
                shown = f"{self.name:<6} | {text}"
                print(shown if len(shown) <= width else f"{shown[: width - 1]}…", flush=True)
