"""The directory where the processes of one host meet: doorbells, locks and workers' journals."""

import hashlib
import logging
import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from django.db import connections

from celeriac.broker import own_place
from celeriac.conf import options

try:
    import fcntl
except ImportError:  # Windows has no such directory either.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


def directory(alias: str) -> Path | None:
    """The directory of the alias, made when it is not there; None: this host cannot have one.

    Beside a SQLite file, because whoever may write the one may write the other; else in the user's
    own place in the temporary directory, with a name that only this database has.
    """
    # The name is part of the question: tests give an alias another database.
    return _made(str(connections[alias].settings_dict["NAME"]), alias, options().runtime_directory)


def open_own(path: Path) -> int:
    """Open a file of the directory for reading and writing, made when it is not there; raises OSError.

    Never through a symbolic link, and never one that appears between the two steps.
    """
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660)


def try_lock(path: Path) -> int | None:
    """Open a file of the directory with its lock; None: somebody else has it. Raises OSError.

    The kernel gives the lock back when the last process that has the file open from here closes it or dies.
    """
    fd = open_own(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


@lru_cache
def _made(_name: str, alias: str, configured: str | None) -> Path | None:
    """Once per database: a publisher rings for every message."""
    if not hasattr(os, "mkfifo"):
        return None
    wanted, trusted = _wanted(alias, configured)
    if wanted is None:
        return None
    try:
        _make(wanted)
        fault = fault_of(wanted, trusted)
        if fault is None:
            _hide_from_git(wanted)
    except OSError:
        return None
    if fault is not None:
        logger.warning(
            "%s is not used, because it %s: consumers look at their queues more often instead, and "
            "heartbeats alone tell who lives. Remove it, or set CELERIAC['RUNTIME_DIRECTORY'].",
            wanted,
            fault,
        )
        return None
    return wanted


def fault_of(path: Path, trusted: Path | None) -> str | None:
    """Why nothing is to be kept there: others may have prepared it. `trusted`: its owner is no stranger.

    Raises OSError.
    """
    return _fault(path.lstat(), _owners(trusted))


def _make(path: Path) -> None:
    # Whatever the umask, never writable for everybody. What is there already is judged afterwards.
    with suppress(FileExistsError):
        path.mkdir(mode=0o775, parents=True)


def _owners(trusted: Path | None) -> set[int]:
    """Whoever else owns a directory may have prepared it: links in it lead our writing astray."""
    owners = {0, os.geteuid()}
    if trusted is not None:
        with suppress(FileNotFoundError):
            owners.add(trusted.stat().st_uid)
    return owners


def _fault(found: os.stat_result, owners: set[int]) -> str | None:
    if not stat.S_ISDIR(found.st_mode):
        return "is no directory"
    if found.st_uid not in owners:
        return f"belongs to another user ({found.st_uid})"
    return "is writable for everybody" if found.st_mode & stat.S_IWOTH else None


def _hide_from_git(path: Path) -> None:
    with suppress(FileExistsError):
        fd = os.open(path / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o664)
        try:
            os.write(fd, b"*\n")
        finally:
            os.close(fd)


def sqlite_file(alias: str) -> Path | None:
    """The file of a SQLite alias; None for another vendor or a database in memory."""
    connection = connections[alias]
    name = str(connection.settings_dict["NAME"])
    # SQLite's own spellings of a database in memory; Django's tests use the second.
    if connection.vendor != "sqlite" or name in {"", ":memory:"} or "mode=memory" in name:
        return None
    return Path(name.removeprefix("file:").partition("?")[0]).resolve()


def _wanted(alias: str, configured: str | None) -> tuple[Path | None, Path | None]:
    """The directory, and the place whose owner may own it too."""
    if configured:
        return Path(configured) / _fingerprint(alias), Path(configured)
    if connections[alias].vendor == "sqlite":
        file = sqlite_file(alias)
        return file and file.with_name(f"{file.name}-celeriac"), file
    home = own_place.of_user()
    return Path(home) / _fingerprint(alias) if home else None, None


def _fingerprint(alias: str) -> str:
    settings = connections[alias].settings_dict
    place = "|".join(str(settings.get(key, "")) for key in ("ENGINE", "HOST", "PORT", "NAME"))
    return hashlib.sha256(place.encode()).hexdigest()[:16]
