"""Walk the project's directories for task files, never following a link, never without an end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from celeriac.discovery.rules import Rules
from celeriac.errors import TaskFileError

MAX_DEPTH = 20
#: Entries of one directory; more is data, not code.
MAX_ENTRIES = 10_000
MAX_DIRECTORIES = 50_000
#: Entries looked at in left-out directories, which are entered only to list their task files.
#: Bounded apart from the others: whoever may fill such a directory must not delay or stop the start.
MAX_LEFT_OUT_ENTRIES = 50_000
MAX_FILES = 1_000

#: Path of a task file (or of a directory that cannot be searched), and why it is left out.
Found = tuple[str, str | None]


def walk(rules: Rules) -> Iterator[Found]:
    """Yield every task file of the project; raises TaskFileError when it has no end."""
    accepted = 0
    for path, reason in _Walk(rules).run():
        accepted += reason is None
        if accepted > MAX_FILES:
            raise TaskFileError(_too_many(rules, f"{MAX_FILES:,} task files"))
        yield path, reason


@dataclass(slots=True)
class _Walk:
    """One walk: the directories still to enter, each with its depth and the reason it inherits."""

    rules: Rules
    entered: int = 0
    left_out_entries: int = 0
    waiting: list[tuple[str, int, str | None]] = field(default_factory=list)

    def run(self) -> Iterator[Found]:
        self.waiting.append((str(self.rules.root), 0, self.rules.root_reason()))
        while self.waiting:
            directory, depth, reason = self.waiting.pop()
            self.entered += reason is None
            if self.entered > MAX_DIRECTORIES:
                raise TaskFileError(_too_many(self.rules, f"{MAX_DIRECTORIES:,} directories"))
            if self.left_out_entries > MAX_LEFT_OUT_ENTRIES and reason:
                yield from _peek(directory, reason)
            else:
                yield from self._enter(directory, depth, reason)

    def _enter(self, directory: str, depth: int, reason: str | None) -> Iterator[Found]:
        try:
            entries = _entries(directory)
        except OSError as error:
            yield directory, reason or f"not searched: {error.strerror}"
            return
        self.left_out_entries += len(entries) if reason else 0
        names = {entry.name for entry in entries}
        if too_much := _too_much(entries, depth):
            yield directory, reason or too_much
        elif environment := _environment(names):
            yield from _peek(directory, reason or environment)
        else:
            yield from self._search(entries, depth, reason or _other_project(names, depth))

    def _search(self, entries: list[os.DirEntry[str]], depth: int, reason: str | None) -> Iterator[Found]:
        for entry in entries:
            yield from self._look(entry, depth, reason)

    def _look(self, entry: os.DirEntry[str], depth: int, reason: str | None) -> Iterator[Found]:
        """Judge one entry; most are files of other names and cost a few comparisons."""
        if entry.name == "tasks.py" or (entry.name == "__init__.py" and depth and _is_in_tasks(entry)):
            yield self._file(entry.path, reason)
        elif _is_link(entry):
            for file, _ in _peek(entry.path, None):
                yield file, reason or self._link_reason(file)
        elif entry.is_dir(follow_symlinks=False):
            yield from self._directory(entry, depth, reason)

    def _directory(self, entry: os.DirEntry[str], depth: int, reason: str | None) -> Iterator[Found]:
        if closed := self.rules.closed(entry.path, entry.name):
            yield from _peek(entry.path, reason or closed)
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield entry.path, reason or f"not searched: {error.strerror}"
            return
        left_out = reason or self.rules.left_out(entry.path, entry.name, status)
        self.waiting.append((entry.path, depth + 1, left_out))

    def _file(self, path: str, reason: str | None) -> Found:
        if Path(path).is_symlink():
            return path, reason or self._link_reason(path)
        try:
            return path, reason or self.rules.file_reason(path, Path(path).lstat())
        except OSError as error:
            return path, f"cannot be read: {error.strerror}"

    def _link_reason(self, path: str) -> str:
        """A link inside the project is left out too: its target has its own line and one name."""
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(self.rules.root):
            return f"a link that leaves the project, to {target}"
        return f"a link to {target.relative_to(self.rules.root)}, which is judged by its own place"


def _entries(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return list(islice(entries, MAX_ENTRIES + 1))


def _too_much(entries: list[os.DirEntry[str]], depth: int) -> str | None:
    if len(entries) > MAX_ENTRIES:
        return f"not searched: more than {MAX_ENTRIES:,} entries in one directory"
    if depth > MAX_DEPTH:
        return f"not searched: more than {MAX_DEPTH} directories deep"
    return None


def _environment(names: set[str]) -> str | None:
    if "pyvenv.cfg" in names or "conda-meta" in names:
        return "in a virtual environment"
    return None


def _other_project(names: set[str], depth: int) -> str | None:
    """A copy or a neighbor: its files are imported from its own directory, not from ours."""
    return "in another project, with its own manage.py" if depth and "manage.py" in names else None


def _is_in_tasks(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).parent.name == "tasks"


def _peek(directory: str, reason: str | None) -> Iterator[Found]:
    """List the task file that lies directly in a directory that is not entered."""
    file = f"{directory}{os.sep}tasks.py"
    if os.path.lexists(file):
        yield file, reason


def _is_link(entry: os.DirEntry[str]) -> bool:
    # Windows' junctions are links that is_symlink() denies; Python < 3.12 cannot tell them
    # apart and stops at MAX_DEPTH.
    return entry.is_symlink() or (hasattr(entry, "is_junction") and entry.is_junction())


def _too_many(rules: Rules, what: str) -> str:
    return f"{rules.root} has more than {what}. Name directories of data in CELERIAC['DISCOVER_EXCLUDE']."
