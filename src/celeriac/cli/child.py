"""A worker that is started again: the process, its two pipes, and what it has told so far."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

from django.utils.autoreload import get_child_arguments

from celeriac.cli import keys, reloaded


@dataclass(frozen=True, slots=True)
class Told:
    """The worker has told something; its attributes say what."""

    worker: "Child"
    files: list[str]


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker is gone."""

    worker: "Child"
    code: int


class Child:
    """This command line again, as a process of its own in the group of this one.

    With `waits` it imports the project, and works once it is told to `begin`; until then the terminal's keys
    do nothing to it.
    """

    #: It obeys what is written to it; before that it has nothing to lose.
    follows = False
    is_ready = False
    #: A file of the project cannot be imported.
    is_broken = False
    #: By the file alone, and not by what another process has to itself.
    is_slip = False
    #: It has got a signal that ends it.
    is_stopping = False
    is_reloading = False
    #: None: it lives.
    code: int | None = None

    def __init__(
        self,
        report: Callable[[Told | Ended], object],
        *,
        reload_timeout_seconds: float,
        is_first: bool,
        waits: bool = False,
    ) -> None:
        self._report = report
        orders, ours = os.pipe()
        reports, told = os.pipe()
        # Nobody but this process may hold the writing end of its orders: it tells of its death.
        self._orders = os.fdopen(ours, "wb", buffering=0)
        pipes = f"{orders},{told},{reload_timeout_seconds},{int(is_first)},{int(waits)}"
        self.waits = waits
        waiting = {keys.ENVIRONMENT: "1"} if waits else {}
        environment = {**os.environ, reloaded.ENVIRONMENT: pipes, **waiting}
        with _deaf() if waits else nullcontext():
            self._process = subprocess.Popen(  # noqa: S603 - the command line of this very process
                get_child_arguments(), env=environment, pass_fds=(orders, told)
            )
        os.close(orders)
        os.close(told)
        reader = Thread(target=self._read, args=(reports,), name="celeriac-reports", daemon=True)
        reader.start()
        Thread(target=self._wait, args=(reader,), name="celeriac-child", daemon=True).start()

    def begin(self) -> None:
        """Its turn has come."""
        self._order(reloaded.BEGIN)

    def reload(self) -> None:
        """Let it finish its tasks and end."""
        self.is_reloading = True
        if self.follows:
            self._order(reloaded.RELOAD)
        else:
            self._process.terminate()

    def signal(self, number: int) -> None:
        """Pass a signal on; nothing where it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it whatever it does; what it held goes to the next worker."""
        self._process.kill()

    def _order(self, word: bytes) -> None:
        try:
            self._orders.write(word)
        except (BrokenPipeError, ValueError):
            pass  # It is ending, or has ended and the pipe is closed.

    def _read(self, reports: int) -> None:
        with open(reports) as lines:
            for line in lines:
                with suppress(json.JSONDecodeError):  # It was killed in it, or a signal's words are in it.
                    self._note(json.loads(line))

    def _note(self, words: dict[str, Any]) -> None:
        self.follows |= "follows" in words
        self.is_ready |= "ready" in words
        self.is_broken |= "broken" in words
        self.is_slip |= "slip" in words
        self.is_stopping |= "stopping" in words
        self._report(Told(self, words.get("files", [])))

    def _wait(self, reader: Thread) -> None:
        code = self._process.wait()
        # Its last words first; a process of its pool may have the pipe open for a moment longer.
        reader.join(0.5)
        self._orders.close()
        self.code = code
        self._report(Ended(self, code))


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started hears none of the terminal's keys before it can note them: it inherits the mask."""
    theirs = signal.pthread_sigmask(signal.SIG_BLOCK, keys.OF_TERMINAL)
    try:
        yield
    finally:
        # What came meanwhile comes now.
        signal.pthread_sigmask(signal.SIG_SETMASK, theirs)
