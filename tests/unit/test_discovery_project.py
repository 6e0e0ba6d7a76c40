"""A real project with a real `manage.py`, which the discovery tests build; and where its root is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import celeriac

MANAGE = """\
import os, sys
if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
    {before}
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SETTINGS = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "only for tests"
USE_TZ = True
INSTALLED_APPS = {apps!r}
CELERIAC = {options!r}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
{more}
"""
SCAN = """
import json, os, sys
from celeriac.discovery import *
from celeriac.errors import TaskFileError
{before}
try:
    files = {call}
except TaskFileError as error:
    print("RESULT" + json.dumps({{"failed": str(error)}}))
else:
    print("RESULT" + json.dumps({{"files": {{f.shown: [f.module, f.reason, f.error] for f in files}},
          "loaded": sorted(n for n in sys.modules if n.endswith("tasks") and "asyncio" not in n)}}))
"""
#: A task file that leaves a mark when its code runs.
TASK = """\
from pathlib import Path
from celery import shared_task
Path({mark!r}).mkdir(exist_ok=True)
Path({mark!r}, __name__).touch()
@shared_task
def work(): return __name__
"""


class Project:
    """A directory with manage.py, settings and whatever files the test writes."""

    def __init__(self, root: Path, *, before: str = "pass") -> None:
        self.root = root
        self.marks = root.parent / f"{root.name}-marks"
        self.before = before
        self.options: dict[str, Any] = {}
        self.apps: list[str] = []
        self.more = ""
        root.mkdir(parents=True)

    def write(self, name: str, content: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def task(self, name: str) -> Path:
        return self.write(name, TASK.format(mark=str(self.marks)))

    def scan(self, before: str = "", call: str = "scan()") -> dict[str, list[str | None]]:
        return self.run(before, call)["files"]

    def discover(self, before: str = "") -> dict[str, Any]:
        return self.run(before, "discover()")

    def run(self, before: str = "", call: str = "scan()", *, cwd: Path | None = None) -> dict[str, Any]:
        """What discovery says in a new process of `manage.py`, in which warnings are errors."""
        self._write_project()
        code = SCAN.format(before=before, call=call)
        command = [
            sys.executable,
            "-W",
            "error",
            str(self.root / "manage.py"),
            "shell",
            "-v",
            "0",
            "-c",
            code,
        ]
        done = subprocess.run(
            command, cwd=cwd or self.root, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("RESULT")[2])

    def marked(self) -> set[str]:
        """The modules whose code ran."""
        return {mark.name for mark in self.marks.iterdir()} if self.marks.is_dir() else set()

    def _write_project(self) -> None:
        self.write("manage.py", MANAGE.format(before=self.before))
        self.write("proj/__init__.py")
        settings = SETTINGS.format(apps=self.apps, options=self.options, more=self.more)
        self.write("proj/settings.py", settings)


def environment() -> dict[str, str]:
    source = Path(celeriac.__file__).parents[1]
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "site")


def test_root_is_base_dir_when_it_holds_manage_py(project: Project, tmp_path: Path) -> None:
    project.task("tasks.py")

    files = project.run(cwd=tmp_path)["files"]

    assert files == {"tasks.py": ["tasks", None, None]}


def test_root_is_the_directory_of_manage_py_when_base_dir_is_the_package(
    project: Project, tmp_path: Path
) -> None:
    project.more = "BASE_DIR = str(Path(__file__).parent)"
    project.task("tasks.py")

    files = project.run(cwd=tmp_path)["files"]

    assert files["tasks.py"] == ["tasks", None, None]


def test_root_is_where_settings_are_imported_from_without_manage_py(project: Project, tmp_path: Path) -> None:
    project.more = "del BASE_DIR"
    project.task("tasks.py")

    files = project.run("sys.argv = ['celery']; os.chdir('/'); os.remove(sys.path[0] + '/manage.py')")[
        "files"
    ]

    assert files["tasks.py"] == ["tasks", None, None]


def test_two_plain_directories_run_without_an_installed_app(project: Project) -> None:
    project.task("tasks.py")
    project.task("billing/invoices/tasks.py")

    found = project.discover()

    assert found["loaded"] == ["billing.invoices.tasks", "tasks"]
    assert project.marked() == {"billing.invoices.tasks", "tasks"}


def test_discover_false_leaves_installed_apps_only(project: Project) -> None:
    project.options = {"DISCOVER": False}
    project.apps = ["shop"]
    project.write("shop/__init__.py")
    project.task("shop/tasks.py")
    project.task("billing/tasks.py")

    assert project.scan() == {"shop/tasks.py": ["shop.tasks", None, None]}
