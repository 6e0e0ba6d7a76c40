"""The probe: which workers of this host live, and whether their loops turn; the standard library alone."""

import os
import time

from celeriac.health import place

try:
    import fcntl
except ImportError:  # Windows, where workers leave no signs.
    fcntl = None  # type: ignore[assignment]

MAX_AGE_SECONDS = 30.0
HEALTHY, UNHEALTHY, NO_WORKER = 0, 1, 69
_STATUS = {HEALTHY: "healthy", UNHEALTHY: "unhealthy", NO_WORKER: "no worker"}


# No dataclasses here, nor pathlib and json: to import them takes twice as long as all the rest.
class Sign:
    """A worker of this host, as its file tells of it."""

    def __init__(self, node: str, pid: int, state: str, silent_seconds: float, has_died: bool) -> None:
        self.node = node
        self.pid = pid
        self.state = state
        #: Since its loop turned.
        self.silent_seconds = silent_seconds
        #: Whether its process ended without a farewell.
        self.has_died = has_died

    def fault(self, max_age: float, *, ready: bool) -> str | None:
        """What is wrong with it, if anything."""
        if self.state == place.RUNNING and self.silent_seconds > max_age:
            return f"hangs: its loop has not turned for {self.silent_seconds:.0f} s"
        if ready and self.state == place.CONNECTING:
            return "waits for its broker"
        return "stops" if ready and self.state == place.STOPPING else None


class Verdict:
    """What the probe found; its exit code says it in short."""

    def __init__(self, workers: list[tuple[Sign, str | None]], died: list[str]) -> None:
        #: Each worker that lives, with what is wrong with it.
        self.workers = workers
        #: Nodes whose process ended without a farewell.
        self.died = died
        is_well = not any(fault for _, fault in workers)
        self.code = NO_WORKER if not workers else HEALTHY if is_well else UNHEALTHY

    def lines(self) -> list[str]:
        """For people: one for each worker."""
        found = [f"{sign.node} (pid {sign.pid}): {fault or sign.state}" for sign, fault in self.workers]
        return [*found, *(f"{node}: its process is gone" for node in self.died)] or ["No worker is here."]

    def document(self) -> dict[str, object]:
        """For machines."""
        workers = [
            {
                "node": sign.node,
                "pid": sign.pid,
                "state": sign.state,
                "silent_seconds": round(sign.silent_seconds, 3),
                "fault": fault,
            }
            for sign, fault in self.workers
        ]
        return {"status": _STATUS[self.code], "workers": workers, "died": self.died}


def look(
    directory: str | None, *, node: str | None = None, max_age: float = MAX_AGE_SECONDS, ready: bool = False
) -> Verdict:
    """Look at the workers, or at one by its name, with or without its host; `ready`: it has its broker, too.

    A worker is well when its process lives and its loop has turned within `max_age` seconds, or has no
    reason to turn: it waits for its broker, runs a task in the pool `solo`, or waits for its last tasks.
    """
    signs = [sign for sign in _signs(directory) if node in {None, sign.node, sign.node.partition("@")[0]}]
    living = [sign for sign in signs if not sign.has_died]
    # A new life of the same node is what counts.
    died = {sign.node for sign in signs} - {sign.node for sign in living}
    return Verdict([(sign, sign.fault(max_age, ready=ready)) for sign in living], sorted(died))


def _signs(directory: str | None) -> list[Sign]:
    try:
        names = sorted(os.listdir(directory)) if directory else []  # noqa: PTH208 - as said above
    except OSError:
        return []
    read = (_read(f"{directory}/{name}") for name in names if name.endswith(place.SUFFIX))
    return [sign for sign in read if sign is not None]


def _read(path: str) -> Sign | None:
    """What the file says; None where it vanishes meanwhile or is none of ours."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            state, node, pid = file.read().split("\n")[:3]
            silent = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
            return Sign(node, int(pid), state.strip(), silent, _is_free(file.fileno()))
    except (OSError, ValueError):
        return None


def _is_free(fd: int) -> bool:
    """Whether nobody holds the file's lock: the kernel gave it back when its process ended."""
    try:
        # Shared, so that two probes at once are not in each other's way; closing the file gives it back.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
