"""A process of a project, in a group of its own: a worker, or a producer."""

import os
import re
import signal
import subprocess
from pathlib import Path

from benchmarks.processes import with_children

KILL_SECONDS = 10.0


class Worker:
    """Whoever starts it kills what is left of it."""

    def __init__(
        self, node: str, process: "subprocess.Popen[bytes]", log: Path, ready: re.Pattern[str]
    ) -> None:
        self.node = node
        self.pid = process.pid
        self._process = process
        self._log = log
        self._ready = ready

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def is_ready(self) -> bool:
        return self._ready.search(self.log()) is not None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    @property
    def children(self) -> list[int]:
        """The processes of its pool that live."""
        return with_children([self.pid])[1:]

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """To the main process alone."""
        self._process.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        """To the main process and all its children."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def end(self) -> None:
        """Kill whatever is left, in whatever state it is; may be called twice."""
        self.send_to_group(signal.SIGKILL)
        self._process.wait(KILL_SECONDS)
