"""LISTEN on PostgreSQL: one worker of a host hears the other hosts, and rings the bells of its own.

On a thread, for a solo pool's loop runs a task for minutes. When its connection breaks, the slow poll goes on
alone until there is a new one.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from celeriac.broker import runtime
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries.postgresql import PostgresqlQueries
from celeriac.broker.session import BrokerSession
from celeriac.broker.wakeup import bells

logger = logging.getLogger(__name__)

_RECONNECT_SECONDS = 1.0
#: After a burst's ring look again: those that were left out are committed by then.
_LOOK_AGAIN_SECONDS = 3 * bells.NOTIFY_EVERY_SECONDS

_started: "weakref.WeakSet[Listener]" = weakref.WeakSet()


class Listener:
    """Calls `heard` with each queue, on a thread of its own; its owner calls close()."""

    def __init__(self, alias: str, heard: Callable[[str], object]) -> None:
        self._alias = alias
        self._heard = heard
        self._session = BrokerSession(alias)
        self._lock_fd: int | None = None
        self._thread: threading.Thread | None = None
        self._stop = os.pipe()
        #: Queues to be looked at once more, and when.
        self._again: dict[str, float] = {}

    def listen_for_host(self) -> None:
        """Begin, unless another worker of this host listens already; to be asked again from time to time."""
        if self._thread is None and self._is_chosen():
            self._thread = threading.Thread(target=self._listen, name="celeriac-listen", daemon=True)
            self._thread.start()
            _started.add(self)

    def close(self) -> None:
        """Stop, and let another worker of the host begin; may be called twice."""
        if self._stop[1] >= 0:
            os.close(self._stop[1])
            self._stop = (self._stop[0], -1)
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._session.close()
        self.forget()
        if self._stop[0] >= 0:
            os.close(self._stop[0])
            self._stop = (-1, -1)

    def forget(self) -> None:
        """Close the lock's handle; in a child of a fork the parent's lock would outlive the parent."""
        if self._lock_fd is not None:
            fd, self._lock_fd = self._lock_fd, None
            with suppress(OSError):
                os.close(fd)

    def _is_chosen(self) -> bool:
        """Whether this is the one worker of the host, or one that can find nobody to share with."""
        directory = runtime.directory(self._alias)
        if directory is None:
            return True  # As on Windows, which has no bells either: each worker listens for itself.
        try:
            self._lock_fd = runtime.try_lock(directory / "listen.lock")
        except OSError:
            return True
        return self._lock_fd is not None

    def _listen(self) -> None:
        while True:
            try:
                if (server := self._connect()) is not None:
                    self._listen_on(server)
            except Exception:
                # Without this thread no worker of the host would hear of the others.
                logger.exception("Listening to the other hosts: it goes on in spite of this error")
            # A dead socket stays readable: listened on, it would keep a core busy.
            self._session.close()
            if wait([self._stop[0]], _RECONNECT_SECONDS):
                return

    def _listen_on(self, server: int) -> None:
        """Until the connection is dead, or this ends."""
        stop = self._stop[0]
        while True:
            readable = wait([server, stop], self._seconds_until_again())
            if stop in readable:
                return
            if server in readable:
                payloads = self._received()
                if payloads is None:
                    return
                for payload in dict.fromkeys(payloads):
                    self._take(payload)
            self._look_again()

    def _take(self, payload: str) -> None:
        queue = payload.removeprefix(bells.MORE_WILL_BE_LEFT_OUT)
        if queue != payload:
            self._again.setdefault(queue, time.monotonic() + _LOOK_AGAIN_SECONDS)
        self._heard(queue)

    def _look_again(self) -> None:
        now = time.monotonic()
        for queue in [queue for queue, at in self._again.items() if at <= now]:
            del self._again[queue]
            self._heard(queue)

    def _seconds_until_again(self) -> float | None:
        return max(0.0, min(self._again.values()) - time.monotonic()) if self._again else None

    def _connect(self) -> int | None:
        """The socket to watch; None: the server cannot be reached now."""
        try:
            self._session.run(lambda connection, _: PostgresqlQueries().listen(connection), atomic=False)
            return int(self._driver().fileno())
        except (BrokerConnectionLost, BrokerRefused):
            return None

    def _received(self) -> list[str] | None:
        """What was notified; None: the connection is dead."""
        try:
            driver = self._driver()
            if hasattr(driver, "pgconn"):  # psycopg 3
                driver.pgconn.consume_input()
                found = []
                while notice := driver.pgconn.notifies():
                    found.append(notice.extra.decode())
                return found
            driver.poll()
            found = [notice.payload for notice in driver.notifies]
            del driver.notifies[:]
        except Exception:  # noqa: BLE001 - each driver has its own classes, and all mean the same here
            return None
        return found

    def _driver(self) -> Any:
        return self._session.connection().connection


def _forget_in_child() -> None:
    for listener in list(_started):
        listener.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
