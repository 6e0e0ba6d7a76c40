"""The benchmark's side of a project's web process: a question, an answer, and an end to the waiting."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from benchmarks.limits import MeasurementFailed


class Driver:
    """`inside/driver.py` as it runs in a project."""

    def __init__(
        self, command: list[str], directory: Path, environment: dict[str, str], *, limit_seconds: float
    ) -> None:
        self._limit_seconds = limit_seconds
        self._log = directory / "driver.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, verb: str, **words: Any) -> Any:
        """The answer. Raises MeasurementFailed when there is none within the limit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        overdue = threading.Timer(self._limit_seconds, self._process.kill)
        overdue.start()
        try:
            self._process.stdin.write(json.dumps({"verb": verb, **words}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            is_over = not overdue.is_alive()
            overdue.cancel()
        if not line:
            said = self._log.read_text(errors="replace")[-1500:]
            reason = f"not within {self._limit_seconds:.0f} s" if is_over else said
            raise MeasurementFailed(f"{verb}: {reason}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
