"""From where a task file is never imported, and the reason each rule gives."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from django.conf import settings

from celeriac.conf import options
from celeriac.discovery.companions import companions
from celeriac.discovery.ownership import Trust
from celeriac.discovery.root import ENVIRONMENTS

MAX_FILE_BYTES = 1024 * 1024

#: Never entered: large, and never the project's own code.
_CLOSED = {name: f"in {name}/" for name in ("node_modules", "bower_components", "__pycache__", *ENVIRONMENTS)}

#: Entered only to list what is there.
_NOT_CODE = {
    "tests": "in a directory of tests",
    "test": "in a directory of tests",
    # Not everything that ends so: an app may be about blood_tests.
    **{
        f"{kind}_{word}": "in a directory of tests"
        for kind in ("unit", "integration", "functional", "acceptance", "system", "e2e")
        for word in ("test", "tests")
    },
    "templates": "in a directory of templates",
    "migrations": "in a directory of migrations",
    "build": "in a directory of build results",
    "dist": "in a directory of build results",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one scan, with what they need from settings and `manage.py` read once."""

    root: Path
    trust: Trust
    #: Real path of a directory of uploads or static files → the setting that names it.
    stores: dict[str, str]
    excluded: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, root: Path) -> "Rules":
        """The rules for the project in `root`, which must be a real path."""
        stores = {os.path.realpath(path): name for name, path in _stores()}
        return cls(root, Trust.of(root), stores, tuple(_parts(glob) for glob in options().discover_exclude))

    def root_reason(self) -> str | None:
        """Why nothing at all may be imported from the project; None when it may."""
        for directory in (self.root, *self.root.parents):
            if name := self.stores.get(str(directory)):
                return f"the project is inside {name}"
        return self.trust.complaint(self.root.stat(), "the project's directory")

    def closed(self, path: str, name: str) -> str | None:
        """Why a directory is not even entered."""
        if reason := self._stored(path):
            return reason
        if name.startswith("."):
            return "in a hidden directory"
        return _CLOSED.get(name)

    def left_out(self, path: str, name: str, status: os.stat_result) -> str | None:
        """Why nothing in a directory is imported, though it is entered to list its files."""
        return self._unsafe(path, status) or _not_code(name)

    def file_reason(self, path: str, status: os.stat_result) -> str | None:
        """Why this file is not imported, whatever it holds."""
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size > MAX_FILE_BYTES:
            return f"larger than {MAX_FILE_BYTES // 1024} KiB"
        return self._excluded(path) or self.trust.complaint(status, self._shown(path))

    def unsafe(self, path: str) -> str | None:
        """Why even an installed app's file is not imported: strangers can write it, or the user said so."""
        file = Path(path)
        if not self._is_own(file):
            return None
        if reason := self.root_reason():
            return reason
        for directory in reversed(file.parents[: len(file.relative_to(self.root).parts) - 1]):
            if reason := self._stored(str(directory)) or self._unsafe(str(directory), directory.stat()):
                return reason
        return self.file_reason(path, file.stat())

    def runs_too(self, path: str, module: str) -> str | None:
        """Why importing this file would run what strangers can write, though the file itself is fit."""
        if not self._is_own(Path(path)):
            return None
        found = (each for each in companions(path, module) if os.path.lexists(each))
        return next((reason for each in found if (reason := self._companion_reason(each))), None)

    def _is_own(self, file: Path) -> bool:
        """Whether the file is the project's; an installed package's is the environment's affair."""
        return file.is_relative_to(self.root) and not ENVIRONMENTS & set(file.parts)

    def _companion_reason(self, path: Path) -> str | None:
        shown = self._shown(str(path))
        if path.is_symlink():
            return f"{shown} is a link, to {os.path.realpath(path)}"
        return self.trust.complaint(path.lstat(), shown)

    def _stored(self, path: str) -> str | None:
        store = self.stores.get(path)
        return f"in {store}" if store else None

    def _unsafe(self, path: str, status: os.stat_result) -> str | None:
        return self._excluded(path) or self.trust.complaint(status, self._shown(path) + "/")

    def _excluded(self, path: str) -> str | None:
        if not self.excluded:
            return None
        parts = _parts(self._shown(path))
        if any(_matches(parts, glob) for glob in self.excluded):
            return "excluded by CELERIAC['DISCOVER_EXCLUDE']"
        return None

    def _shown(self, path: str) -> str:
        return os.path.relpath(path, self.root)


def _stores() -> Iterator[tuple[str, str]]:
    """Settings that name directories where uploads or collected files lie."""
    for name in ("MEDIA_ROOT", "STATIC_ROOT", "FILE_UPLOAD_TEMP_DIR"):
        # An empty MEDIA_ROOT is Django's default and means none, not the working directory.
        if path := getattr(settings, name, None):
            yield name, os.fspath(path)
    for path in getattr(settings, "STATICFILES_DIRS", ()):
        yield "STATICFILES_DIRS", os.fspath(path[1] if isinstance(path, list | tuple) else path)
    for alias, storage in getattr(settings, "STORAGES", {}).items():
        if path := storage.get("OPTIONS", {}).get("location"):
            yield f"STORAGES[{alias!r}]", os.fspath(path)


def _not_code(name: str) -> str | None:
    if "{{" in name or "{%" in name:
        return "in a directory of templates"
    return _NOT_CODE.get(name)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.replace(os.sep, "/").split("/") if part not in ("", "."))


def _matches(parts: tuple[str, ...], glob: tuple[str, ...]) -> bool:
    """Whether the path matches; `*` stays within one directory, `**` spans any number of them."""
    if not glob:
        return not parts
    if glob[0] == "**":
        return _matches(parts, glob[1:]) or (bool(parts) and _matches(parts[1:], glob))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and _matches(parts[1:], glob[1:])
