"""The directory where the processes of one host meet: doorbells and locks."""

import hashlib
import os
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from django.db import connections

from celeriac.conf import options


def directory(alias: str) -> Path | None:
    """The directory of the alias, made when it is not there; None: this host cannot have one.

    Beside a SQLite file, because whoever may write the one may write the other; else in the user's
    own run directory, with a name that only this database has.
    """
    # The name is part of the question: tests give an alias another database.
    return _made(str(connections[alias].settings_dict["NAME"]), alias, options().runtime_directory)


@lru_cache
def _made(_name: str, alias: str, configured: str | None) -> Path | None:
    """Once per database: a publisher rings for every message."""
    wanted = _wanted(alias, configured)
    if wanted is None or not hasattr(os, "mkfifo"):
        return None
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if not (wanted / ".gitignore").exists():
            (wanted / ".gitignore").write_text("*\n")
    except OSError:
        return None
    return wanted


def sqlite_file(alias: str) -> Path | None:
    """The file of a SQLite alias; None for another vendor or a database in memory."""
    connection = connections[alias]
    name = str(connection.settings_dict["NAME"])
    # SQLite's own spellings of a database in memory; Django's tests use the second.
    if connection.vendor != "sqlite" or name in {"", ":memory:"} or "mode=memory" in name:
        return None
    return Path(name.removeprefix("file:").partition("?")[0]).resolve()


def _wanted(alias: str, configured: str | None) -> Path | None:
    if configured:
        return Path(configured) / _fingerprint(alias)
    if connections[alias].vendor == "sqlite":
        file = sqlite_file(alias)
        return file and file.with_name(f"{file.name}-celeriac")
    home = _run_directory()
    return home and home / _fingerprint(alias)


def _run_directory() -> Path | None:
    """XDG_RUNTIME_DIR, or a directory in the temporary one that nobody else can have prepared."""
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(given) / "celeriac"
    path = Path(tempfile.gettempdir()) / f"celeriac-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return path if is_ours else None


def _fingerprint(alias: str) -> str:
    settings = connections[alias].settings_dict
    place = "|".join(str(settings.get(key, "")) for key in ("ENGINE", "HOST", "PORT", "NAME"))
    return hashlib.sha256(place.encode()).hexdigest()[:16]
