"""The pen of the ledger: each entry is one write at the end of a file, so that a kill leaves whole lines."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_fds: dict[str, int] = {}


def write(name: str, lines: list[str], *, is_durable: bool = False) -> None:
    """Append the lines in one write; when it `is_durable` they are on the disk afterwards."""
    fd = _fds.get(name)
    if fd is None:
        path = os.path.join(os.environ["SOAK_LEDGER"], name)  # noqa: PTH118 - the tasks' hot path
        fd = _fds[name] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.write(fd, "".join(f"{line}\n" for line in lines).encode())
    if is_durable:
        os.fsync(fd)


@contextmanager
def run(number: int, attempt: int) -> Iterator[None]:
    """Note the beginning and the end of a run; a run that is killed has no end."""
    who = f"{number} {os.getpid()} {os.getppid()} {attempt}"
    write("runs", [f"{who} start {time.monotonic()}"])
    yield
    write("runs", [f"{who} end {time.monotonic()}"])
