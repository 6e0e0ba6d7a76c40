"""The doorbell of one host: a named pipe per consumer; writing a byte wakes it.

A pipe is made and opened under another name first and then renamed: a bell that nobody has open for
reading is therefore one whose owner died, and whoever finds it removes it. A bell only saves waiting: no
error of the file system leaves this file.
"""

import errno
import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path

from celeriac.broker import runtime

_SUFFIX = ".bell"


class Doorbell:
    """A consumer's own bell; its owner calls close(). Made by install(), which sees to its OSError."""

    def __init__(self, directory: Path) -> None:
        unready = directory / f"{uuid.uuid4().hex}.new"
        os.mkfifo(unready, mode=0o660)
        # Open for writing too: a pipe without a writer would be readable (end of file) for ever.
        self.fd = os.open(unready, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
        self._path = unready.with_suffix(_SUFFIX)
        try:
            unready.rename(self._path)
        except OSError:
            os.close(self.fd)
            raise

    def fileno(self) -> int:
        return self.fd

    def silence(self) -> None:
        """Forget the rings so far."""
        with suppress(OSError):
            while len(os.read(self.fd, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Take the bell away; may be called twice."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with suppress(OSError):
                os.close(fd)
            with suppress(OSError):
                self._path.unlink()


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
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ENXIO:
            with suppress(OSError):
                Path(path).unlink()
        return
    try:
        # Only ever into a pipe, whatever has the name of one; a full one wakes as well as one byte more.
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b"!")
    finally:
        os.close(fd)
