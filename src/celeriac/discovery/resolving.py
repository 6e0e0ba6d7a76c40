"""Say which file `import name` would load, without importing anything."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder


def file_of(name: str) -> str | None:
    """The real path of the file that `import name` loads; None when there is none."""
    *parents, last = name.split(".")
    if name in sys.modules:
        return real_file(sys.modules[name])
    places: Sequence[str] | None = None
    for depth, parent in enumerate(parents, 1):
        places = _places(".".join(parents[:depth]), parent, places)
        if places is None:
            return None
    spec = _spec(last, places)
    return os.path.realpath(spec.origin) if spec and spec.has_location and spec.origin else None


def real_file(module: object) -> str | None:
    """The real path of a loaded module's source."""
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) else None


def _places(full_name: str, last: str, places: Sequence[str] | None) -> list[str] | None:
    """The directories in which a package's modules are looked for; None when it is no package."""
    if loaded := sys.modules.get(full_name):
        found = getattr(loaded, "__path__", None)
    else:
        spec = _spec(last, places)
        found = spec.submodule_search_locations if spec else None
    # A list at once: a namespace's own path object asks its parent in sys.modules on later use.
    return None if found is None else list(found)


def _spec(last: str, places: Sequence[str] | None) -> ModuleSpec | None:
    """Look for a module by its last name; importlib.util.find_spec would import its parents."""
    if places is not None:
        return PathFinder.find_spec(last, list(places))
    for finder in sys.meta_path:
        # All finders for a top package: an editable install has one of its own.
        if (find := getattr(finder, "find_spec", None)) and (spec := find(last, None)):
            return spec if isinstance(spec, ModuleSpec) else None
    return None
