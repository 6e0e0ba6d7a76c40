"""The ledger: what was attempted, what was acknowledged, and every run; read from outside meanwhile."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a run, by a process and its parent."""

    number: int
    process: int
    parent: int
    moment: float


class Ledger:
    """Of one row; each look reads on where the last one ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, int] = {}
        self.attempted: set[int] = set()
        #: The id of the task of each number.
        self.acknowledged: dict[int, str] = {}
        self.refused: dict[int, str] = {}
        #: Ids of tasks whose messages are there twice by intent; one may be there more than once.
        self.doubled: list[str] = []
        #: How often the task of an id came to a worker of an old release, which does not know it.
        self.returned: Counter[str] = Counter()
        self.starts: list[Start] = []
        #: When each run ended, by number and process.
        self.ends: dict[tuple[int, int], float] = {}
        self.ended: set[int] = set()

    @property
    def next_number(self) -> int:
        """The first that no producer has had."""
        return max(self.attempted, default=-1) + 1

    @property
    def runs(self) -> Counter[int]:
        """How often each number was begun."""
        return Counter(start.number for start in self.starts)

    def look(self) -> None:
        """Read what was written since the last look."""
        # Runs first: what has run by now was attempted by now.
        for number, process, parent, _, event, moment in self._lines("runs"):
            if event == "start":
                self.starts.append(Start(int(number), int(process), int(parent), float(moment)))
            else:
                self.ends[int(number), int(process)] = float(moment)
                self.ended.add(int(number))
        self.attempted.update(int(number) for (number,) in self._lines("attempted"))
        self.acknowledged.update((int(number), task_id) for number, task_id in self._lines("acknowledged"))
        self.refused.update((int(words[0]), " ".join(words[1:])) for words in self._lines("refused"))
        self.doubled += [task_id for (task_id,) in self._lines("doubled")]
        self.returned.update(task_id for (task_id,) in self._lines("returned"))

    def _lines(self, name: str) -> list[list[str]]:
        file = self._directory / name
        if not file.exists():
            return []
        with file.open("rb") as content:
            content.seek(self._read.get(name, 0))
            text, _, _ = content.read().rpartition(b"\n")
        # A line that is being written has no end yet.
        self._read[name] = self._read.get(name, 0) + (len(text) + 1 if text else 0)
        return [line.split(" ") for line in text.decode().splitlines()]
