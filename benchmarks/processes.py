"""What a process and all its children use, read from Linux' /proc; None on other systems."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. PSS shares out what several processes have in common; RSS counts it for each."""

    pss: int
    rss: int


def cpu_seconds(roots: list[int]) -> float | None:
    """Processor time so far of the living threads."""
    if not PROC.exists():
        return None
    return sum(map(_cpu_nanoseconds, with_children(roots))) / 1e9


def memory(roots: list[int]) -> Memory | None:
    """The memory of all of them together."""
    if not PROC.exists():
        return None
    each = [_smaps(process) for process in with_children(roots)]
    return Memory(sum(one.get("Pss", 0) for one in each), sum(one.get("Rss", 0) for one in each))


def with_children(roots: list[int]) -> list[int]:
    """These processes, then all that they and their children have begun and that live."""
    found = list(roots)
    for process in found:  # Grows while it is gone through.
        for file in PROC.glob(f"{process}/task/*/children"):
            try:
                found += map(int, file.read_text().split())
            except OSError:
                continue  # That thread has ended.
    return found


def _cpu_nanoseconds(process: int) -> int:
    total = 0
    for file in PROC.glob(f"{process}/task/*/schedstat"):
        try:
            total += int(file.read_text().split()[0])
        except OSError:
            continue  # That thread has ended.
    return total


def _smaps(process: int) -> dict[str, int]:
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}  # That process has ended, or is another user's.
    words = [line.split() for line in lines]
    return {name.rstrip(":"): 1024 * int(kilobytes) for name, kilobytes, *_ in words}
