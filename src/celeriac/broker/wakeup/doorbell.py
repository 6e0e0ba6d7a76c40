"""The doorbell of one host: a named pipe per consumer; writing a byte wakes it.

A pipe is made and opened under another name first and then renamed: a bell that nobody has open for
reading is therefore one whose owner died, and whoever finds it removes it.
"""

import errno
import os
import uuid
from pathlib import Path

from celeriac.broker import runtime

_SUFFIX = ".bell"


class Doorbell:
    """A consumer's own bell; its owner calls close()."""

    def __init__(self, directory: Path) -> None:
        unready = directory / f"{uuid.uuid4().hex}.new"
        os.mkfifo(unready, mode=0o660)
        # Open for writing too: a pipe without a writer would be readable (end of file) for ever.
        self.fd = os.open(unready, os.O_RDWR | os.O_NONBLOCK)
        self._path = unready.with_suffix(_SUFFIX)
        unready.rename(self._path)

    def fileno(self) -> int:
        return self.fd

    def silence(self) -> None:
        """Forget the rings so far."""
        try:
            while len(os.read(self.fd, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Take the bell away; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._path.unlink(missing_ok=True)


def install(alias: str) -> Doorbell | None:
    """A new bell for a consumer of the alias; None where the host cannot have one."""
    directory = runtime.directory(alias)
    try:
        return Doorbell(directory) if directory else None
    except OSError:
        return None


def ring(alias: str) -> None:
    """Ring every bell of the alias on this host."""
    directory = runtime.directory(alias)
    if directory is None:
        return
    try:
        bells = [entry.path for entry in os.scandir(directory) if entry.name.endswith(_SUFFIX)]
    except OSError:
        return
    for bell in bells:
        _ring(bell)


def _ring(path: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            Path(path).unlink(missing_ok=True)
        return
    try:
        os.write(fd, b"!")
    except OSError:
        pass  # A full pipe wakes as well as one byte more.
    finally:
        os.close(fd)
