"""A terminal with a command in it, as a person would have it: a pty, its own session, and keys."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.process.project import Project, Worker

CTRL_C = "\x03"
#: The program's terminal is the one of its session only when it has taken it.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


class Terminal(Worker):
    """`manage.py …` on a terminal; what it prints is read as from every worker."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self._keyboard, end = pty.openpty()
        command = ["-W", "ignore", "manage.py", *arguments]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _TAKE_TERMINAL, *command],
            cwd=project.directory,
            env=project.environment(NO_COLOR="1"),
            stdin=end,
            stdout=end,
            stderr=end,
            text=True,
            start_new_session=True,
        )
        os.close(end)
        process.stdout = os.fdopen(self._keyboard, "r", errors="replace")
        super().__init__(process)

    def press(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def _read(self) -> None:
        try:
            super()._read()
        except OSError:
            # So Linux tells that nobody has the other end any more.
            with self._changed:
                self._changed.notify_all()


def edit(project: Project, path: str, old: str, new: str) -> None:
    """Change a file of the project as an editor does: another one takes its place."""
    file = Path(project.directory, path)
    text = file.read_text()
    assert old in text
    beside = file.with_suffix(".new")
    beside.write_text(text.replace(old, new))
    beside.replace(file)
