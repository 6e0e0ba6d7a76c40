"""A network between a test and a server: it can refuse connections, cut them, or fall silent."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Passes bytes on to a server as long as it is up; `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 0)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._is_silent = False
        self._ending = False
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        account = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        self.url = urlunsplit(parts._replace(netloc=f"{account}127.0.0.1:{self.port}"))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def refuse(self) -> None:
        """Nobody listens any more, and whoever was connected is cut off."""
        with self._lock:
            self._forget(self._listener)
            self.cut()

    def cut(self) -> None:
        """End the connections that are there."""
        with self._lock:
            for each in list(self._pairs):
                self._forget(each)
            self._pairs.clear()

    def fall_silent(self) -> None:
        """Connections are accepted and kept, and no byte passes, as behind a broken switch."""
        self._is_silent = True

    def come_back(self) -> None:
        """As at the beginning."""
        with self._lock:
            self._is_silent = False
            if self._listener.fileno() == -1:
                self._listener = self._listen(self.port)
            else:
                self.cut()

    def close(self) -> None:
        self._ending = True
        self._thread.join(5)
        self.refuse()
        self._selector.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def _run(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(0.05):
                with self._lock, suppress(OSError, KeyError, ValueError):
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj is self._listener:
                        self._accept()
                    elif not self._is_silent:
                        self._pass_on(key.fileobj)
                    else:
                        # Read, so that the loop has rest; what was said is lost like all behind it.
                        key.fileobj.recv(65536)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        self._pairs[near], self._pairs[far] = far, near
        for each in (near, far):
            self._selector.register(each, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        data = source.recv(65536)
        if data:
            self._pairs[source].sendall(data)
            return
        for each in (source, self._pairs[source]):
            self._pairs.pop(each, None)
            self._forget(each)

    def _forget(self, each: socket.socket) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(each)
        each.close()


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before the server of this URL."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
