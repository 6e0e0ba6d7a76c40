"""Which files a reload watches, and which changes it tells of."""

import os
from pathlib import Path

import pytest
from django.utils.autoreload import file_changed

from celeriac.cli import watching


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(watching.discovery, "project_root", lambda: tmp_path)
    monkeypatch.setattr(watching, "_SECONDS", 0)
    for name in (
        "manage.py",
        "tasks.py",
        "shop/models.py",
        "node_modules/x.py",
        "venv/pyvenv.cfg",
        "venv/y.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def changed():
    return []


@pytest.fixture
def look(project, changed, monkeypatch):
    """Look once; nothing is waited for."""
    monkeypatch.setattr(watching.Watcher, "SLEEP_TIME", 0)
    watcher = watching.Watcher(changed.append)
    ticker = watcher.tick()

    def once():
        changed.clear()
        next(ticker)
        return [str(file.relative_to(project)) for file in changed]

    assert once() == []
    return once


def test_an_edit_is_told_once(project, look):
    later = (project / "tasks.py").stat().st_mtime + 1
    os.utime(project / "tasks.py", (later, later))

    assert look() == ["tasks.py"]
    assert look() == []


def test_a_new_file_is_told_also_in_a_new_directory(project, look, monkeypatch):
    monkeypatch.setattr(watching, "_LOOKS_AT_FILES", 1)
    (project / "shop/tasks.py").touch()
    assert look() == ["shop/tasks.py"]

    (project / "more").mkdir()
    (project / "more/tasks.py").touch()
    assert look() == ["more/tasks.py"]


def test_a_deleted_file_is_told_once_and_again_when_it_is_back(project, look):
    (project / "shop/models.py").unlink()
    assert look() == []
    assert look() == ["shop/models.py"]
    assert look() == []

    (project / "shop/models.py").touch()
    assert look() == ["shop/models.py"]


def test_a_file_that_an_editor_puts_away_while_it_saves_is_not_deleted(project, look):
    (project / "tasks.py").rename(project / "tasks.py~")
    assert look() == []

    (project / "tasks.py").touch()
    assert look() == ["tasks.py"]
    assert look() == []


def test_an_imported_file_outside_of_the_project_is_told_too_when_it_is_deleted(
    project, changed, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "shared.py"
    elsewhere.touch()
    watcher = watching.Watcher(changed.append)
    watcher.add([str(elsewhere)])
    ticker = watcher.tick()
    next(ticker)

    elsewhere.unlink()
    next(ticker)
    next(ticker)
    assert changed == [elsewhere]

    elsewhere.touch()
    next(ticker)
    assert changed == [elsewhere, elsewhere]


def test_what_is_no_code_of_the_project_is_not_watched(project, look):
    for name in ("node_modules/x.py", "venv/y.py"):
        later = (project / name).stat().st_mtime + 1
        os.utime(project / name, (later, later))

    assert look() == []


def test_a_look_that_takes_long_is_followed_by_a_longer_pause(project, monkeypatch):
    watcher = watching.Watcher(print)

    for seconds, pause in ((0.1, 0.5), (3.0, 1.0), (0.0, 0.0)):
        times = iter([1.0, 1.0 + seconds])
        monkeypatch.setattr(watching.time, "thread_time", lambda times=times: next(times))
        assert list(watcher.snapshot_files())
        assert round(watcher.SLEEP_TIME, 3) == pause


def test_an_app_that_has_seen_to_a_file_is_heeded(project, look):
    def seen_to(file_path: Path, **_) -> bool:
        return file_path.name == "tasks.py"

    file_changed.connect(seen_to)
    try:
        (project / "shop/models.py").touch()
        for name in ("tasks.py", "shop/models.py"):
            later = (project / name).stat().st_mtime + 1
            os.utime(project / name, (later, later))

        assert look() == ["shop/models.py"]
    finally:
        file_changed.disconnect(seen_to)
