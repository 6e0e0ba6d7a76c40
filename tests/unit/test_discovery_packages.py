"""What runs together with a task file, its packages and their compiled copies, is judged like the file."""

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest

from tests.unit.test_discovery_project import Project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no owners and modes")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one task file in a package; the package's code leaves a mark too."""
    project = Project(tmp_path / "site")
    project.task("shop/__init__.py")
    project.task("shop/tasks.py")
    return project


def cache_of(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def test_a_package_of_the_projects_own_people_is_imported(project: Project) -> None:
    py_compile.compile(str(project.root / "shop/__init__.py"))

    found = project.discover()

    assert found["files"]["shop/tasks.py"] == ["shop.tasks", None, None]
    assert project.marked() == {"shop", "shop.tasks"}


def test_a_package_that_everyone_may_write_does_not_run(project: Project) -> None:
    (project.root / "shop/__init__.py").chmod(0o666)

    found = project.discover()

    assert found["files"] == {
        "shop/tasks.py": [None, "shop/__init__.py is writable by everyone: chmod o-w", None]
    }
    assert project.marked() == set()


def test_a_package_above_the_directory_is_judged_too(project: Project) -> None:
    project.task("shop/orders/tasks.py")
    (project.root / "shop/__init__.py").chmod(0o666)

    assert "shop/__init__.py is writable" in str(project.discover()["files"]["shop/orders/tasks.py"][1])
    assert project.marked() == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_a_package_of_a_strangers_does_not_run(project: Project) -> None:
    os.chown(project.root / "shop/__init__.py", 54321, 0)

    assert "shop/__init__.py belongs to user 54321" in str(project.discover()["files"]["shop/tasks.py"][1])
    assert project.marked() == set()


def test_a_package_that_is_a_link_does_not_run(project: Project, tmp_path: Path) -> None:
    outside = (project.root / "shop/__init__.py").rename(tmp_path / "outside.py")
    (project.root / "shop/__init__.py").symlink_to(outside)

    [(module, reason, _)] = project.discover()["files"].values()

    assert (module, reason) == (None, f"shop/__init__.py is a link, to {outside}")
    assert project.marked() == set()


def test_a_compiled_package_without_source_is_judged(project: Project) -> None:
    source = project.root / "shop/__init__.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    source.with_suffix(".pyc").chmod(0o666)

    assert "shop/__init__.pyc is writable" in str(project.discover()["files"]["shop/tasks.py"][1])
    assert project.marked() == set()


@pytest.mark.parametrize("name", ["shop/__init__.py", "shop/tasks.py"])
def test_a_compiled_copy_that_everyone_may_write_does_not_run(project: Project, name: str) -> None:
    source = project.root / name
    py_compile.compile(str(source))
    cache_of(source).chmod(0o666)

    reason = project.discover()["files"]["shop/tasks.py"][1]

    assert reason == f"{cache_of(source).relative_to(project.root)} is writable by everyone: chmod o-w"
    assert project.marked() == set()


def test_a_directory_of_compiled_copies_that_everyone_may_write_is_not_used(project: Project) -> None:
    (project.root / "shop/__pycache__").mkdir()
    (project.root / "shop/__pycache__").chmod(0o777)

    reason = project.discover()["files"]["shop/tasks.py"][1]

    assert reason == "shop/__pycache__ is writable by everyone: chmod o-w"
    assert project.marked() == set()


def test_the_file_beside_manage_py_is_judged_with_its_compiled_copies(project: Project) -> None:
    project.task("tasks.py")
    (project.root / "__pycache__").mkdir()
    (project.root / "__pycache__").chmod(0o777)

    files = project.discover()["files"]

    assert files["tasks.py"] == [None, "__pycache__ is writable by everyone: chmod o-w", None]
    assert files["shop/tasks.py"][0] == "shop.tasks"


def test_an_installed_apps_package_is_judged_too(project: Project) -> None:
    project.apps = ["shop"]
    (project.root / "shop/__pycache__").mkdir()
    (project.root / "shop/__pycache__").chmod(0o777)

    assert project.scan()["shop/tasks.py"] == [
        None,
        "shop/__pycache__ is writable by everyone: chmod o-w",
        None,
    ]
