"""Decide about each file that was found: its name, or the reason it is left out."""

import sys
from dataclasses import dataclass
from pathlib import Path

from celeriac.discovery.naming import Named, Namer
from celeriac.discovery.reading import read
from celeriac.discovery.rules import Rules
from celeriac.discovery.taskfile import TaskFile


@dataclass(frozen=True, slots=True)
class Judge:
    """What one scan decides by; without a project there are no rules, only installed apps."""

    namer: Namer
    root: Path | None = None
    rules: Rules | None = None

    def installed(self, path: str, name: str) -> TaskFile:
        """An installed app's own file: imported as Celery would, unless strangers can write it."""
        module, reason = None, self.rules.unsafe(path) if self.rules else None
        if reason is None:
            module, reason = self._named(path, installed_as=name)
        error = read(path, module).error if module else None
        return TaskFile(Path(path), self.root, module, reason, error, installed=True)

    def walked(self, path: str, reason: str | None) -> TaskFile:
        """A file that no installed app accounts for: imported only when it registers a task."""
        module = None
        if reason is None:
            module, reason = self._named(path)
        if module is None:
            return TaskFile(Path(path), self.root, reason=reason)
        content = read(path, module)
        # One that is imported already defines whatever it defines, by whatever decorator.
        if content.error or content.registers or module in sys.modules:
            return TaskFile(Path(path), self.root, module, error=content.error)
        reason = f"defines no task; if it does, add {module!r} to CELERY_IMPORTS"
        return TaskFile(Path(path), self.root, reason=reason, is_doubtful=True)

    def _named(self, path: str, *, installed_as: str | None = None) -> Named:
        """The module's name, unless an import under that name would run a stranger's code as well."""
        module, reason = self.namer.name(path, installed_as=installed_as)
        if module and self.rules and (strange := self.rules.runs_too(path, module)):
            return None, strange
        return module, reason
