"""The task files of installed apps, and the directories that these apps are imported from."""

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from types import ModuleType

from django.apps import apps
from django.conf import settings


def installed_files() -> dict[str, str]:
    """Real path → name of each installed app's `tasks.py` or `tasks/__init__.py`, as Celery finds them."""
    files: dict[str, str] = {}
    for config in apps.get_app_configs():
        if config.module and (file := _tasks_of(config.module)):
            files.setdefault(file, f"{config.name}.tasks")
    return files


def used_bases() -> frozenset[str]:
    """Directories from which the project's own imports start, as its apps and settings show."""
    return frozenset(_bases())


def _tasks_of(module: ModuleType) -> str | None:
    # An app that is a single module has no __path__, and no tasks beside it.
    spec = PathFinder.find_spec("tasks", list(getattr(module, "__path__", ())))
    if spec is None or not spec.has_location or not spec.origin:
        return None
    return os.path.realpath(spec.origin)


def _bases() -> Iterator[str]:
    for config in apps.get_app_configs():
        yield from _base_of(config.name, config.module)
    name = str(getattr(settings, "SETTINGS_MODULE", None) or "")
    top = name.partition(".")[0]
    yield from _base_of(top, sys.modules.get(top))


def _base_of(name: str, module: ModuleType | None) -> Iterator[str]:
    """The directory that holds the first part of a package's name."""
    tail = os.sep + name.replace(".", os.sep)
    for path in getattr(module, "__path__", ()):
        real = os.path.realpath(path)
        if real.endswith(tail):
            yield real[: -len(tail)]
