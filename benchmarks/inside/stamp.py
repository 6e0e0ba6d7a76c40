"""Each task says when it ran, in a file of its process: the same few microseconds for every contestant."""

import os
import struct
import time

STAMP = struct.Struct("<qd")
DIRECTORY = "stamps"
_files: dict[int, int] = {}


def stamp(number: int) -> None:
    """Note that this task ran now, by the clock that all processes of the machine share."""
    process = os.getpid()
    if process not in _files:
        path = os.path.join(os.environ["BENCH_PROJECT"], DIRECTORY, str(process))  # noqa: PTH118 - in a task
        _files[process] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(_files[process], STAMP.pack(number, time.monotonic()))
