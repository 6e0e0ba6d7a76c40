"""Directories from which no file may be imported, each with a file that leaves a mark when it is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.test_discovery_project import Project

#: A file nobody may import → the words of its reason.
TRAPS = {
    "env/lib/jobs/tasks.py": None,  # Not even listed: environments hold thousands of files.
    "env/tasks.py": "virtual environment",
    "conda/tasks.py": "virtual environment",
    "old/lib/site-packages/thing/tasks.py": None,
    "old/lib/site-packages/tasks.py": "in site-packages/",
    "old/lib/dist-packages/tasks.py": "in dist-packages/",
    "frontend/node_modules/tasks.py": "in node_modules/",
    "frontend/node_modules/gulp/tasks.py": None,
    ".hidden/tasks.py": "in a hidden directory",
    ".git/hooks/tasks.py": None,
    "media/tasks.py": "in MEDIA_ROOT",
    "media/2024/tasks.py": None,
    "collected/tasks.py": "in STATIC_ROOT",
    "assets/tasks.py": "in STATICFILES_DIRS",
    "more_assets/tasks.py": "in STATICFILES_DIRS",
    "private_uploads/tasks.py": "in STORAGES['private']",
    "incoming/tasks.py": "in FILE_UPLOAD_TEMP_DIR",
    "billing/tests/tasks.py": "tests",
    "billing/test/deep/tasks.py": "tests",
    "integration_tests/tasks.py": "tests",
    "billing/templates/tasks.py": "templates",
    "{{ cookiecutter.name }}/tasks.py": "templates",
    "billing/migrations/tasks.py": "migrations",
    "billing/__pycache__/tasks.py": "in __pycache__/",
    "build/lib/billing/tasks.py": "build results",
    "dist/tasks.py": "build results",
    "copy/site/tasks.py": "another project",
    "legacy/tasks.py": "DISCOVER_EXCLUDE",
    "vendor/one/old/tasks.py": "DISCOVER_EXCLUDE",
    "my-scripts/tasks.py": "rename the directory, to my_scripts for example",
    "class/tasks.py": "rename the directory",
    "json/tasks.py": "shadowed",
    "open/tasks.py": "open/ is writable by everyone",
    "open/inner/tasks.py": "open/ is writable by everyone",
    "sticky/tasks.py": "sticky/ is writable by everyone",
    "loose/tasks.py": "loose/tasks.py is writable by everyone",
    "linked/tasks.py": "a link that leaves the project",
    "linked_file/tasks.py": "a link that leaves the project",
    "linked_inside/tasks.py": "a link to good/tasks.py",
    "good/loop/tasks.py": "a link to good/tasks.py",
    "pipe/tasks.py": "not a regular file",
    "huge/tasks.py": "larger than 1024 KiB",
}
FOREIGN = {
    "foreign/tasks.py": "foreign/ belongs to user 54321",
    "foreign_file/tasks.py": "foreign_file/tasks.py belongs to user 54321",
    "team/tasks.py": "team/ is writable by group 54322",
}
GOOD = {
    "tasks.py": "tasks",
    "good/tasks.py": "good.tasks",
    "blood_tests/tasks.py": "blood_tests.tasks",
    "good/plain/deep/tasks.py": "good.plain.deep.tasks",
}
MORE = """
MEDIA_ROOT = BASE_DIR / "media"
STATIC_ROOT = str(BASE_DIR / "collected")
STATICFILES_DIRS = [BASE_DIR / "assets", ("more", str(BASE_DIR / "more_assets"))]
FILE_UPLOAD_TEMP_DIR = BASE_DIR / "incoming"
STORAGES = {"private": {"BACKEND": "x", "OPTIONS": {"location": BASE_DIR / "private_uploads"}}}
"""


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project with every trap in it."""
    project = Project(tmp_path_factory.mktemp("traps") / "site")
    project.more = MORE
    project.options = {"DISCOVER_EXCLUDE": ["legacy", "vendor/**/old/"]}
    links = {"linked/tasks.py", "linked_file/tasks.py", "linked_inside/tasks.py", "good/loop/tasks.py"}
    for name in [*GOOD, *TRAPS, *FOREIGN]:
        if name not in links:
            project.task(name)
    _set_links(project)
    _set_markers(project)
    _set_permissions(project.root)
    return project


@pytest.fixture(scope="module")
def found(trapped: Project) -> Iterator[dict[str, list[str | None]]]:
    """What discovery says of it, after it has imported what it accepts."""
    return trapped.discover()["files"]


def _set_links(project: Project) -> None:
    outside = project.root.parent / "outside"
    outside.mkdir()
    (outside / "tasks.py").write_text(project.task("good/tasks.py").read_text())
    (project.root / "linked").symlink_to(outside)
    (project.root / "linked_file").mkdir()
    (project.root / "linked_file/tasks.py").symlink_to(outside / "tasks.py")
    (project.root / "linked_inside").symlink_to(project.root / "good")
    (project.root / "good/loop").symlink_to(".")


def _set_markers(project: Project) -> None:
    project.write("env/pyvenv.cfg", "home = /usr/bin")
    project.write("conda/conda-meta/history")
    project.write("copy/site/manage.py")
    huge = project.root / "huge/tasks.py"
    huge.write_text(huge.read_text() + "#" * 1024 * 1024)
    (project.root / "pipe/tasks.py").unlink()
    os.mkfifo(project.root / "pipe/tasks.py")


def _set_permissions(root: Path) -> None:
    (root / "open").chmod(0o777)
    (root / "sticky").chmod(0o1777)
    (root / "loose/tasks.py").chmod(0o666)
    if os.geteuid() == 0:
        os.chown(root / "foreign", 54321, 0)
        os.chown(root / "foreign_file/tasks.py", 54321, 0)
        os.chown(root / "team", 0, 54322)
        (root / "team").chmod(0o775)


@pytest.mark.parametrize("name", [name for name, words in TRAPS.items() if words])
def test_trap_is_left_out_with_its_reason(found: dict[str, list[str | None]], name: str) -> None:
    module, reason, _ = found[name]

    assert module is None
    assert TRAPS[name] in str(reason)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_file_is_left_out_with_its_reason(found: dict[str, list[str | None]], name: str) -> None:
    module, reason, _ = found[name]

    assert module is None
    assert FOREIGN[name] in str(reason)


def test_only_the_good_files_have_run(trapped: Project, found: dict[str, list[str | None]]) -> None:
    accepted = {name: module for name, (module, _, _) in found.items() if module}
    foreign = {} if os.geteuid() == 0 else {name: name[:-3].replace("/", ".") for name in FOREIGN}

    assert accepted == GOOD | foreign
    assert trapped.marked() == set(accepted.values())


def test_files_within_closed_directories_are_not_listed(found: dict[str, list[str | None]]) -> None:
    assert not [name for name, words in TRAPS.items() if words is None and name in found]


def test_unreadable_and_endless_directories_are_listed_themselves(tmp_path: Path) -> None:
    project = Project(tmp_path / "site")
    project.task("/".join(["deep"] * 25) + "/tasks.py")
    (project.root / "crowd").mkdir()
    for number in range(10_001):
        (project.root / "crowd" / str(number)).touch()

    files = project.scan()

    assert files["crowd"][1] == "not searched: more than 10,000 entries in one directory"
    assert files["/".join(["deep"] * 21)][1] == "not searched: more than 20 directories deep"


@pytest.mark.parametrize(("limit", "words"), [("MAX_DIRECTORIES", "4 directories"), ("MAX_FILES", "4 task")])
def test_a_project_without_an_end_stops_the_start(tmp_path: Path, limit: str, words: str) -> None:
    project = Project(tmp_path / "site")
    for number in range(9):
        project.task(f"app{number}/tasks.py")

    failed = project.run(f"from celeriac.discovery import walk as w; sys.modules[w.__module__].{limit} = 4")

    assert words in failed["failed"]
    assert "CELERIAC['DISCOVER_EXCLUDE']" in failed["failed"]


def test_a_full_upload_directory_neither_stops_nor_delays_the_start(tmp_path: Path) -> None:
    project = Project(tmp_path / "site")
    project.task("good/tasks.py")
    for number in range(9):
        project.task(f"tests/a{number}/b/tasks.py")

    files = project.scan(
        "from celeriac.discovery import walk as w; sys.modules[w.__module__].MAX_LEFT_OUT_ENTRIES = 0"
    )

    assert files == {"good/tasks.py": ["good.tasks", None, None]}


def test_nothing_is_imported_from_a_project_that_everyone_may_write(tmp_path: Path) -> None:
    project = Project(tmp_path / "site")
    project.apps = ["shop"]
    project.write("shop/__init__.py")
    project.task("shop/tasks.py")
    project.task("billing/tasks.py")
    project.root.chmod(0o777)

    files = project.scan()

    assert {reason for _, reason, _ in files.values()} == {
        "the project's directory is writable by everyone: chmod o-w"
    }


def test_a_project_inside_media_root_is_left_out(tmp_path: Path) -> None:
    project = Project(tmp_path / "site")
    project.more = "MEDIA_ROOT = BASE_DIR.parent"
    project.task("billing/tasks.py")

    assert project.scan()["billing/tasks.py"] == [None, "the project is inside MEDIA_ROOT", None]
