"""Give each task file the one module name that the project's own imports give it.

Two names for one file would load it twice and register its tasks twice, and a message sent under
one name would find no task in a worker that knows the other.
"""

import os
import sys
from collections.abc import Iterator
from keyword import iskeyword
from pathlib import Path

from celeriac.discovery.resolving import file_of, real_file

#: The name, or None and why there is none.
Named = tuple[str | None, str | None]

_NO_ENTRY = "no entry of sys.path leads to it: put the project's directory there"


class Namer:
    """Names files by what is loaded, installed and on sys.path at the moment it is made."""

    def __init__(self, *, bases: frozenset[str]) -> None:
        self._used_bases = bases
        self._bases = _ordered(bases)
        self._loaded = _loaded_files()

    def name(self, path: str, *, installed_as: str | None = None) -> Named:
        """The name of the file at this real path; it resolves to that file or is None."""
        names = [installed_as] if installed_as else list(self._possible(path))
        loaded = self._loaded.get(path, [])
        if loaded:
            # Already imported: a second name, however right, would be a second copy.
            return next((name for name in names if name in loaded), loaded[0]), None
        importable = [name for name in names if _is_importable(name)]
        for name in importable:
            if file_of(name) == path:
                return name, None
        return None, _why_not(names, importable)

    def _possible(self, path: str) -> Iterator[str]:
        """Names from each directory that imports start from, the likeliest first."""
        place = path.removesuffix(".py").removesuffix(os.sep + "__init__")
        for base in self._bases:
            if place.startswith(base + os.sep):
                yield place[len(base) + 1 :].replace(os.sep, ".")


def _ordered(used: frozenset[str]) -> list[str]:
    """Directories of sys.path, the likeliest base of an import first.

    The deepest wins: who puts `apps/` on sys.path does so to write `import shop`. Except a
    directory that is a package itself and that no installed app is imported from:
    cookiecutter-django's manage.py puts the project's package on sys.path, and its code still
    writes `from project.users.tasks import …`.
    """
    # An empty entry is the working directory, and so is an empty path's real path.
    bases = {os.path.realpath(entry) for entry in sys.path} | used

    def likelihood(base: str) -> tuple[bool, int, str]:
        is_natural = base in used or not Path(base, "__init__.py").exists()
        return is_natural, len(base), base

    return sorted(bases, key=likelihood, reverse=True)


def _loaded_files() -> dict[str, list[str]]:
    """Real path → names of the task modules that are loaded already."""
    loaded: dict[str, list[str]] = {}
    for name, module in list(sys.modules.items()):
        if name.rpartition(".")[2] == "tasks" and (file := real_file(module)):
            loaded.setdefault(file, []).append(name)
    return loaded


def _is_importable(name: str) -> bool:
    return all(part.isidentifier() and not iskeyword(part) for part in name.split("."))


def _why_not(names: list[str], importable: list[str]) -> str:
    if not names:
        return _NO_ENTRY
    if not importable:
        return _wrong_directory(names[0])
    name = importable[0]
    while name:
        if other := file_of(name):
            return f"shadowed: import {name} loads {other}: rename one of them"
        name = name.rpartition(".")[0]
    return _NO_ENTRY


def _wrong_directory(name: str) -> str:
    wrong = next(part for part in name.split(".") if not _is_importable(part))
    better = "".join(letter if letter.isalnum() else "_" for letter in wrong)
    advice = f", to {better} for example" if _is_importable(better) else ""
    return f"{wrong!r} cannot be part of a module name: rename the directory{advice}"
