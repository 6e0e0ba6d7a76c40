"""A clock that is wrong: processes that see another time than the machine's, and can be made to see it jump.

A small library stands between the process and the C library. libfaketime will not do: with it `time.sleep`
fails, which sleeps by the monotonic clock.
"""

import mmap
import struct
import subprocess
from pathlib import Path
from shutil import which

from tests.servers import do_without

_SOURCE = Path(__file__).with_name("clock.c")


class WrongClock:
    """Of every process that is given its `environment`."""

    def __init__(self, directory: Path, ahead_seconds: int = 0) -> None:
        compiler = which("cc") or which("gcc")
        if compiler is None:
            do_without("No C compiler is there; apt-get install gcc.")
        directory.mkdir()
        library, file = directory / "clock.so", directory / "ahead"
        command = [compiler, "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        file.write_bytes(struct.pack("q", ahead_seconds))
        with file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(file)}

    def jump(self, ahead_seconds: int) -> None:
        """From now on it is ahead of the machine's by so much; below 0: behind."""
        self._ahead[:] = struct.pack("q", ahead_seconds)
