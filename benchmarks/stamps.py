"""The stamps that tasks leave: which task ran, and when."""

from pathlib import Path

from benchmarks.inside.stamp import DIRECTORY, STAMP


class Stamps:
    """Of one project; read from outside while its workers write."""

    def __init__(self, project: Path) -> None:
        self.directory = project / DIRECTORY
        self.directory.mkdir()

    def clear(self) -> None:
        """Forget all; no worker runs."""
        for file in self.directory.iterdir():
            file.unlink()

    def count(self) -> int:
        return sum(file.stat().st_size for file in self.directory.iterdir()) // STAMP.size

    def moments(self) -> dict[int, float]:
        """When each task first ran."""
        found: dict[int, float] = {}
        for file in self.directory.iterdir():
            content = file.read_bytes()
            whole = content[: len(content) // STAMP.size * STAMP.size]
            for number, moment in STAMP.iter_unpack(whole):
                found[number] = min(moment, found.get(number, moment))
        return found
