"""What systemd is told of a worker that it started: that it is ready, alive, and about to end.

The protocol of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Nothing is said where nobody
listens, and nothing that fails here is of any weight to the worker.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from celery import signals

_UID = "celeriac.notifying"
#: systemd asks for a sign of life in half of the time that it waits for one; a thread may be late.
_BEATS_IN_TIME = 4
_MICROSECONDS = 1_000_000


class Notifier:
    """Talks to the socket at this address; beats every `seconds`, if any, from ready on."""

    def __init__(self, address: str, beat_seconds: float | None) -> None:
        # The kernel's own names, without a file, are written with an @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._beat_seconds = beat_seconds
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def ready(self, status: str) -> None:
        """The worker takes tasks; may be called twice, as after a connection that was lost."""
        self._say(f"READY=1\nSTATUS={status}")
        if self._beat_seconds is not None and self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="celeriac-watchdog", daemon=True)
            self._thread.start()

    def stopping(self) -> None:
        """The worker takes no more tasks and waits for those that run; it beats on meanwhile."""
        self._say("STOPPING=1\nSTATUS=waits for the tasks that run")

    def end(self) -> None:
        """No more beats; may be called twice."""
        self._ended.set()

    def _beat(self) -> None:
        """Of the process, not of its database: in an outage the tasks that run would be killed."""
        while not self._ended.wait(self._beat_seconds):
            self._say("WATCHDOG=1")

    def _say(self, what: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            # systemd may be slow; the worker's loop is not to wait for it.
            out.settimeout(1)
            out.sendto(what.encode(), self._address)


#: Of the worker that is being started; called at its end.
_end: Callable[[], object] = object


def connect() -> None:
    """Follow this worker where systemd has started it; the programs that tasks start hear nothing of that."""
    global _end
    address = os.environ.pop("NOTIFY_SOCKET", "")
    beat_seconds = _beat_seconds()
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    notifier = Notifier(address, beat_seconds)

    def ready(sender: Any, **_: Any) -> None:
        queues = ", ".join(sender.app.amqp.queues.consume_from)
        notifier.ready(f"takes tasks from {queues}")

    def stopping(**_: Any) -> None:
        notifier.stopping()

    signals.worker_ready.connect(ready, weak=False, dispatch_uid=f"{_UID}.ready")
    signals.worker_shutting_down.connect(stopping, weak=False, dispatch_uid=f"{_UID}.stopping")
    _end = notifier.end


def end() -> None:
    """The worker has ended; may be called twice."""
    _end()


def _beat_seconds() -> float | None:
    """None where systemd waits for no sign of life, or for another process's."""
    microseconds, process = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
    if not microseconds.isdigit() or not int(microseconds) or process not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / _MICROSECONDS / _BEATS_IN_TIME
