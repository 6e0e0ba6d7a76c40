"""A SQLite file in the project's directory, put back by copying it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.places.base import Place


class SQLite(Place):
    """What every contestant on SQLite is given: WAL, and a writer that waits for the lock."""

    def make(self) -> None:
        pass

    def database(self) -> dict[str, object]:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(self.directory / "db.sqlite3"),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }

    def remember(self) -> None:
        shutil.copy(self.directory / "db.sqlite3", self._kept)

    def empty(self) -> None:
        for file in self._files():
            file.unlink()
        shutil.copy(self._kept, self.directory / "db.sqlite3")

    def drop(self) -> None:
        pass  # It goes with the project's directory.

    def bytes_used(self) -> int:
        # Not the files' sizes: a write-ahead log is as long as it once had to be.
        return sum(_pages(file) for file in self.directory.glob("*.sqlite3"))

    def _files(self) -> list[Path]:
        """With those of a contestant's own, and without the directory of Celeriac's doorbells."""
        return [path for path in self.directory.glob("*.sqlite3*") if path.is_file()]

    @property
    def _kept(self) -> Path:
        return self.directory / "db.ready"


def _pages(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        pages, size = (connection.execute(f"PRAGMA page_{word}").fetchone()[0] for word in ("count", "size"))
        return int(pages * size)
