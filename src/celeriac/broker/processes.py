"""What this host knows about a process: whether there is one with a number, and since when."""

import os
import re
from pathlib import Path

from celeriac.broker import clock

#: The start of the system is told in whole seconds; a process begins before its worker's row.
_INEXACT_SECONDS = 2.0
#: The 22nd field of all; two stand before the state.
_START_TIME = 19
_BOOT = re.compile(rb"^btime (\d+)$", re.MULTILINE)


def is_gone(pid: int) -> bool:
    """Whether no process of this host has the number; on Windows that is never known."""
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # It is another user's.
    return _is_zombie(pid)


def may_have_run_at(pid: int, moment: int) -> bool:
    """Whether this host's process with the number had begun by then; where it cannot tell, that it runs."""
    if is_gone(pid):
        return False
    began = _began_at(pid)
    return began is None or began <= moment + clock.seconds(_INEXACT_SECONDS)


def _began_at(pid: int) -> int | None:
    """When the process began, by the host's clock; only Linux tells."""
    fields = _fields(pid)
    try:
        booted = _BOOT.search(Path("/proc/stat").read_bytes())
    except OSError:
        return None
    if booted is None or not fields:
        return None
    # In ticks since the start of the system.
    return clock.seconds(int(booted[1]) + int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK"))


def _is_zombie(pid: int) -> bool:
    """Whether it has ended, and its parent has not yet asked how; only Linux tells."""
    return _fields(pid)[:1] == [b"Z"]


def _fields(pid: int) -> list[bytes]:
    """What Linux tells of a process from its state on (proc_pid_stat(5)); none where it tells nothing."""
    try:
        found = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    # The name before the state stands in brackets, and may have some of its own.
    return found.rpartition(b") ")[2].split()
