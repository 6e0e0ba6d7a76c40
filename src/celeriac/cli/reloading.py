"""`celery start` in DEBUG: this process watches the files, and starts its worker again when one changes.

The worker is a child, as Celery's signals want the main thread of a process; and in the same process group,
so that Ctrl-C, a debugger in a task and all else of the terminal reach it as they would without a reload.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from celery.platforms import EX_FAILURE
from django.conf import settings
from django.db import connections
from django.utils.autoreload import ensure_echo_on

from celeriac.cli import detaching, output
from celeriac.cli.child import Child, Ended, Told
from celeriac.cli.watching import Watcher
from celeriac.errors import CeleriacError

#: Beyond the time that running tasks have: the worker ends itself within two seconds, if it still can.
_STUCK_SECONDS = 4.0
#: By then a worker has told of a Ctrl-C of the terminal's; one that has not was not sent it.
_CTRL_C_SECONDS = 0.5
_USAGE = 2
_ENDING = ("SIGINT", "SIGTERM", "SIGQUIT")
_PASSED_ON = ("SIGUSR1", "SIGUSR2")


@dataclass(frozen=True, slots=True)
class _Changed:
    file: Path


@dataclass(frozen=True, slots=True)
class _Signalled:
    number: int


_Event = _Changed | _Signalled | Told | Ended


def is_wanted(asked: bool | None, words: Sequence[str]) -> bool:
    """Whether to reload: in DEBUG and on a terminal, or in DEBUG and where it is asked for.

    Raises CeleriacError where it is asked for and cannot be.
    """
    fault = _fault(words)
    if asked and fault:
        raise CeleriacError(f"--reload {fault}")
    return fault is None and (asked if asked is not None else output.is_terminal())


def run(reload_timeout_seconds: float) -> int:
    """Run the worker, again after each change, until it or somebody ends it; its exit code."""
    connections.close_all()
    return _Reloading(reload_timeout_seconds).run()


def _fault(words: Sequence[str]) -> str | None:
    if not settings.DEBUG:
        return "needs DEBUG = True: nothing is reloaded in production."
    if sys.platform == "win32":
        return "is not there for Windows, where a worker cannot be told to finish its tasks."
    if detaching.is_asked_for(words):
        return "and --detach do not go together."
    if sys.argv[1:2] != ["celery"]:
        return "is for the command line: manage.py celery start --reload"
    return None


class _Reloading:
    def __init__(self, reload_timeout_seconds: float) -> None:
        self._reload_timeout = reload_timeout_seconds
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._watcher = Watcher(lambda file: self._events.put(_Changed(file)))
        #: None: it ended, and waits for a change.
        self._worker: Child | None = None
        #: Imports the project while the one before it finishes its tasks.
        self._next: Child | None = None
        self._has_worked = False
        self._is_ending = False
        self._code: int | None = None
        #: As Celery has it for Ctrl-C, unless a second one comes too soon after the first.
        self._code_of_ending = 0
        #: When to do what nobody tells of.
        self._kill_at = self._interrupt_at = float("inf")

    def run(self) -> int:
        with self._hearing_signals():
            self._watcher.start()
            self._start()
            while self._code is None:
                try:
                    event = self._events.get(timeout=self._patience())
                except Empty:
                    self._act_by_the_clock()
                else:
                    self._follow(event)
        return self._code

    def _start(self) -> None:
        self._before_start()
        self._worker = self._child()

    def _before_start(self) -> None:
        # A debugger in a task that was cut may have left the terminal without.
        ensure_echo_on()
        self._kill_at = self._interrupt_at = float("inf")

    def _child(self, *, waits: bool = False) -> Child:
        return Child(
            self._events.put,
            reload_timeout_seconds=self._reload_timeout,
            is_first=not self._has_worked,
            waits=waits,
        )

    def _follow(self, event: _Event) -> None:
        match event:
            case _Changed():
                self._after_change(event.file)
            case _Signalled():
                self._after_signal(event.number)
            case Told():
                self._watcher.add(event.files)
                self._has_worked |= event.worker.is_ready
            case Ended():
                self._after_end(event.worker, event.code)

    def _after_change(self, file: Path) -> None:
        worker = self._worker
        is_reloading = worker is not None and worker.is_reloading
        if self._is_ending or (is_reloading and self._next is None):
            return  # What starts next reads this change, too.
        _say("↻", "yellow", f"{_shown(file)} {'changed' if file.exists() else 'deleted'}")
        if worker is None:
            self._start()
        elif is_reloading:
            # It may have read the file before.
            self._give_up_next()
        else:
            worker.reload()
            self._kill_at = time.monotonic() + self._reload_timeout + _STUCK_SECONDS
            self._next = self._child(waits=True)

    def _after_signal(self, number: int) -> None:
        worker = self._worker
        if signal.Signals(number).name in _PASSED_ON:
            if worker is not None:
                worker.signal(number)
            return
        self._is_ending = True
        self._give_up_next()
        if number == signal.SIGINT:
            self._code_of_ending = EX_FAILURE
        if worker is None or (worker.waits and not worker.follows):
            # What only imports has nothing to lose, and hears none of these.
            self._code = self._code_of_ending
            if worker is not None:
                worker.kill()
        elif number == signal.SIGINT:
            self._interrupt_at = time.monotonic() + _CTRL_C_SECONDS
        else:
            worker.signal(number)

    def _after_end(self, worker: Child, code: int) -> None:
        if worker is not self._worker:
            return  # Its turn has not come, or never will.
        self._worker = None
        if worker.is_reloading and not self._is_ending:
            self._start_next()
        elif self._is_ending or code == 0:
            self._code = (code if code >= 0 else 128 - code) or self._code_of_ending
        elif code == _USAGE and not worker.is_broken and not self._has_worked:
            # A wrong option: no edit will mend it.
            self._code = code
        else:
            _say("✗", "red", f"the worker ended with code {code}; it starts again when a file changes")

    def _start_next(self) -> None:
        following, self._next = self._next, None
        if following is not None and following.code is not None and following.is_slip:
            self._worker = following
            self._after_end(following, following.code)
            return
        if following is None or following.code is not None:
            # A file may have needed what the worker before had to itself.
            self._start()
            return
        self._before_start()
        self._worker = following
        following.begin()

    def _give_up_next(self) -> None:
        following, self._next = self._next, None
        if following is not None:
            following.kill()

    def _patience(self) -> float | None:
        soonest = min(self._kill_at, self._interrupt_at)
        return None if soonest == float("inf") else max(soonest - time.monotonic(), 0)

    def _act_by_the_clock(self) -> None:
        now, worker = time.monotonic(), self._worker
        if now >= self._interrupt_at:
            self._interrupt_at = float("inf")
            if worker is not None and not worker.is_stopping:
                worker.signal(signal.SIGINT)
        if now >= self._kill_at:
            self._kill_at = float("inf")
            if worker is not None:
                worker.kill()

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        def hear(number: int, _: Any) -> None:
            self._events.put(_Signalled(number))

        theirs = {name: signal.signal(getattr(signal, name), hear) for name in (*_ENDING, *_PASSED_ON)}
        try:
            yield
        finally:
            for name, handler in theirs.items():
                signal.signal(getattr(signal, name), handler)


def _say(sign: str, colour: str, text: str) -> None:
    now = datetime.now()  # noqa: DTZ005 - by the clock of whoever sits here
    output.line(f"{now:%H:%M:%S}  {output.coloured(sign, colour)} {text}")


def _shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else os.fspath(file)
