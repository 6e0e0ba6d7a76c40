"""Projects over each database and each broker."""

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
from django.db import connections

from tests.conftest import DIRECTORY
from tests.databases import emptied_afterwards
from tests.process.project import Project

TASKS = """
    import os, time
    from celery import shared_task

    @shared_task
    def add(x, y):
        return x + y

    @shared_task
    def fail():
        raise ValueError("on purpose")

    @shared_task(bind=True, max_retries=3)
    def flaky(self):
        if self.request.retries < 2:
            raise self.retry(countdown=0.1)
        return self.request.retries

    @shared_task
    def note(path, text, seconds=0.0):
        with open(path, "a") as file:
            file.write(f"begin {text}\\n")
        if seconds:
            time.sleep(seconds)
        with open(path, "a") as file:
            file.write(f"{text}\\n")
        return os.getpid()

    @shared_task
    def hold(notes, gate):
        with open(notes, "a") as file:
            file.write("begin\\n")
        while not os.path.exists(gate):
            time.sleep(0.05)
        with open(notes, "a") as file:
            file.write("end\\n")
        return "computed"

    @shared_task
    def total(numbers):
        return sum(numbers)
"""

NESTED_TASKS = """
    from celery import shared_task

    @shared_task
    def shout(text):
        return text.upper()
"""


def database_settings(alias: str) -> str:
    settings = connections[alias].settings_dict
    wanted = {key: settings[key] for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")}
    return f"DATABASES['default'] = {wanted!r}"


def _sqlite_settings() -> str:
    return 'DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}'


@functools.cache
def _template() -> Path:
    """A migrated project on SQLite, made once: each test's own is a copy of it."""
    project = Project(Path(tempfile.mkdtemp(dir=DIRECTORY)) / "template", _sqlite_settings())
    project.write("tasks.py", TASKS)
    project.write("office/post/tasks.py", NESTED_TASKS)
    project.manage("migrate", "-v", "0")
    return project.directory


def made(directory: Path, settings: str = "") -> Project:
    """A project with tasks and tables."""
    shutil.copytree(_template(), directory)
    project = Project(directory, settings)
    if "DATABASES" in settings:
        project.manage("migrate", "-v", "0")
    return project


@pytest.fixture
def sqlite_project(tmp_path: Path) -> Project:
    """A project on SQLite, as startproject makes it, with the OPTIONS that the check names."""
    return made(tmp_path / "project")


#: Processes are tried on each system with one set of versions, or both runs would take too long together:
#: what differs between versions of Celery does so on each system. Tests of one system use SQLite with both,
#: and contract tests have every system with both.
_IS_NEWEST = celery.VERSION[:2] >= (5, 7)
_DATABASES = ["mariadb"] if _IS_NEWEST else ["sqlite", "postgresql"]
_SYSTEMS = [*_DATABASES, "rabbitmq" if _IS_NEWEST else "redis"]
#: Long ones, about servers, locks and our own tools, to which the version of Celery makes no difference:
#: with one set of versions each.
collect_ignore = (
    [
        "test_full_disk.py",
        "test_health.py",
        "test_services.py",
    ]
    if _IS_NEWEST
    else [
        "test_benchmark.py",
        "test_locked_file.py",
        "test_locks_and_listeners.py",
        "test_server_crashes.py",
        "test_soak.py",
    ]
)


@pytest.fixture(params=_DATABASES)
def database_project(request, tmp_path: Path) -> Iterator[Project]:
    """A project without CELERY_BROKER_URL, on each database in turn."""
    if request.param == "sqlite":
        yield made(tmp_path / "project")
        return
    alias = request.getfixturevalue("databases").get(request.param)
    with emptied_afterwards(alias):
        yield made(tmp_path / "project", database_settings(alias))


@pytest.fixture(params=_SYSTEMS)
def project(request, tmp_path: Path) -> Iterator[Project]:
    """A project on each database, and on each external broker by its one setting."""
    if request.param in {"rabbitmq", "redis"}:
        url = request.getfixturevalue(f"{request.param}_url")
        yield made(tmp_path / "project", f"CELERY_BROKER_URL = {url!r}")
        return
    if request.param == "sqlite":
        yield made(tmp_path / "project")
        return
    alias = request.getfixturevalue("databases").get(request.param)
    with emptied_afterwards(alias):
        yield made(tmp_path / "project", database_settings(alias))


@pytest.fixture(scope="session")
def soak_stage() -> Iterator[Callable[[str], Any]]:
    """The project of a system of the soak, by its name; made once, and emptied by each row."""
    from benchmarks.places import Unreachable
    from soak.sides import side
    from soak.stage import stage
    from tests.servers import SERVERS, do_without, require

    with stage() as made:

        def project(name: str) -> Any:
            for kind in side(name).needs:
                if kind in SERVERS:
                    require(kind)
            try:
                return made.project(side(name))
            except Unreachable as error:
                do_without(str(error))

        yield project
