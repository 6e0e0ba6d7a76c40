"""Import the accepted files, and say in one line which one failed, where and why."""

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from sysconfig import get_path
from traceback import extract_tb
from typing import Protocol

from celeriac.discovery.resolving import real_file
from celeriac.discovery.root import ENVIRONMENTS
from celeriac.discovery.taskfile import TaskFile
from celeriac.errors import TaskFileError

_MAX_CAUSE = 300


class HasTasks(Protocol):
    """A Celery app, as far as discovery must know one."""

    @property
    def tasks(self) -> Mapping[str, object]: ...


def import_all(files: Iterable[TaskFile]) -> None:
    """Import each accepted file once; raises TaskFileError for the first that fails.

    May be called again and from any thread. It takes no lock of its own: Python's import locks
    already make it once, and a second lock would deadlock with a task file that calls us.
    """
    accepted = [file for file in files if file.is_accepted]
    for file in accepted:
        # Before the first import: a start that will fail should not have run half the project.
        if file.error:
            raise TaskFileError(f"{file.shown} cannot be imported: {file.error}")
    for file in accepted:
        _import(file)


def fault_of(file: TaskFile) -> str | None:
    """Import one file; why that failed, in one line, or None."""
    try:
        import_all([file])
    except TaskFileError as error:
        return str(error)
    return None


def names_of(file: TaskFile, app: HasTasks) -> list[str]:
    """The names under which the file's tasks are registered in this app."""
    return sorted(name for name, task in app.tasks.items() if _is_from(task, file))


def _import(file: TaskFile) -> None:
    if file.module is None:
        return
    try:
        module = import_module(file.module)
    except (Exception, SystemExit) as error:
        # SystemExit: a script named tasks.py would end the worker without a word.
        raise TaskFileError(_failure(file, error)) from error
    loaded = real_file(module)
    if loaded and loaded != os.path.realpath(file.path):
        raise TaskFileError(f"{file.shown}: import {file.module} loads {loaded}. Rename one of them.")


def _failure(file: TaskFile, error: BaseException) -> str:
    where, line = _place(file, error)
    cause = f"{type(error).__name__}: {_text(error)}".removesuffix(": ")
    place = f"line {line}" if where == file.shown else f"{where}, line {line}"
    return f"{file.shown} cannot be imported: {place}: {cause[:_MAX_CAUSE]}"


def _place(file: TaskFile, error: BaseException) -> tuple[str, int]:
    """The innermost line of the project's own code that the error came through."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename, file):
        return _shown(error.filename, file), error.lineno or 1
    for frame in reversed(extract_tb(error.__traceback__)):
        if _is_own(frame.filename, file):
            return _shown(frame.filename, file), frame.lineno or 1
    return file.shown, 1


def _is_own(filename: str, file: TaskFile) -> bool:
    real = Path(filename).resolve()
    if real == file.path:
        return True
    is_inside = file.root is not None and real.is_relative_to(file.root)
    return is_inside and not ENVIRONMENTS & set(real.parts) and not _is_pythons(real)


def _is_pythons(file: Path) -> bool:
    """Whether the file is Python's own or this one, should the project hold either."""
    return file.is_relative_to(Path(get_path("stdlib")).resolve()) or file == Path(__file__).resolve()


def _shown(filename: str, file: TaskFile) -> str:
    return TaskFile(Path(filename).resolve(), file.root).shown


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return str(error.msg)
    return " ".join(str(error).split())


def _is_from(task: object, file: TaskFile) -> bool:
    """By the module of the task's class, which Celery takes from the decorated function."""
    source = getattr(task, "__module__", None)
    if file.path.name == "__init__.py":
        return f"{source}.".startswith(f"{file.module}.")
    return source == file.module
