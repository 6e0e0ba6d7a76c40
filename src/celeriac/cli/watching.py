"""Watches the project's files with Django's own reloader: what is imported, and what lies beside it."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from sysconfig import get_path
from threading import Thread
from typing import Any

from django.utils import autoreload

from celeriac import discovery
from celeriac.discovery.root import ENVIRONMENTS
from celeriac.discovery.rules import Rules

#: Between two looks; each takes a few milliseconds, as packages that are installed are left out.
_SECONDS = 0.15
#: In a project of 10,000 files 200 ms: then it rests for so many times as long, and not longer than this.
_RESTS, _MOST_SECONDS = 5, 1.0
#: So many looks at files for one at which directories there are.
_LOOKS_AT_FILES = 10
#: In a larger project no others are looked through for files that nobody has imported.
_MOST_DIRECTORIES = 2_000
_STANDARD_LIBRARY = Path(get_path("stdlib")).resolve()


class Watcher(autoreload.StatReloader):
    """Calls back with each file that was changed, is new or was deleted, from a thread of its own."""

    SLEEP_TIME = _SECONDS  # type: ignore[assignment]  # Django's is an int, for time.sleep()

    def __init__(self, changed: Callable[[Path], Any]) -> None:
        super().__init__()
        self._changed = changed
        self._known: set[Path] = set()
        #: Of these, those that the last look did not find.
        self._missed: set[Path] = set()
        self._looks = 0

    def start(self) -> None:
        """Begin to watch. Other apps add files of theirs as for `runserver`, by `autoreload_started`."""
        autoreload.autoreload_started.send(sender=self)
        Thread(target=self.run_loop, name="celeriac-watcher", daemon=True).start()

    def add(self, files: Iterable[str]) -> None:
        """Watch these files too: the modules of another process."""
        # A new set, as the thread may be reading the old one.
        self.extra_files = self.extra_files | {Path(file) for file in files}

    def watched_files(self, include_globs: bool = True) -> Iterator[Path]:
        """Django's, without those of installed packages."""
        return filter(is_own, super().watched_files(include_globs))

    def snapshot_files(self) -> Iterator[tuple[Path, float]]:
        """Django's, which tells of no new file and of none that is gone: they look like changed ones."""
        began = time.thread_time()
        if self._looks % _LOOKS_AT_FILES == 0:
            for directory in _directories():
                self.watch_dir(directory, "*.py")
        seen: set[Path] = set()
        for file, modified in super().snapshot_files():
            seen.add(file)
            if file not in self._known:
                self._known.add(file)
                if self._looks and file.parent in self.directory_globs:
                    yield file, 0.0
            yield file, modified
        for file in self._gone(seen):
            yield file, inf
            # If it comes back it is newer than this.
            yield file, 0.0
        self._looks += 1
        self.SLEEP_TIME = max(_SECONDS, min(_RESTS * (time.thread_time() - began), _MOST_SECONDS))

    def _gone(self, seen: set[Path]) -> set[Path]:
        """Those that two looks have not found: an editor may put one away for a moment while it saves."""
        missed = self._known - seen
        gone = missed & self._missed
        self._known -= gone
        self._missed = missed - gone
        return gone

    def notify_file_changed(self, path: str | os.PathLike[str]) -> None:
        """Call back, unless an app has done what there was to do.

        Django's own receivers see to the templates and translations of this process; tasks are in another.
        """
        answers = autoreload.file_changed.send(sender=self, file_path=path)
        if not any(answer and not _is_djangos(receiver) for receiver, answer in answers):
            self._changed(Path(path))


def own_modules() -> list[str]:
    """The files of what this process has imported, without installed packages."""
    return [str(file) for file in autoreload.iter_all_python_module_files() if is_own(file)]


def is_own(file: Path) -> bool:
    """Whether somebody may be editing this file."""
    parts = file.parts
    return not any(each in parts for each in ENVIRONMENTS) and not file.is_relative_to(_STANDARD_LIBRARY)


def _is_djangos(receiver: Any) -> bool:
    return str(getattr(receiver, "__module__", "")).startswith("django.")


def _directories() -> Iterator[Path]:
    """The project's directories that may hold code, by the rules of discovery."""
    root = discovery.project_root()
    if root is None:
        return
    rules = Rules.of(root.resolve())
    found = 0
    for directory, names, files in os.walk(rules.root):
        if "pyvenv.cfg" in files or found == _MOST_DIRECTORIES:
            names.clear()
            continue
        names[:] = [name for name in names if not rules.closed(str(Path(directory, name)), name)]
        found += 1
        yield Path(directory)
