"""The runtime directory: only one that nobody else can have prepared, and the same for every process."""

import logging
import os
import stat
from pathlib import Path

import pytest
from django.db import connections
from django.test import override_settings

from celeriac.broker import runtime
from celeriac.broker.locks import SessionLock
from celeriac.broker.session import BrokerSession
from celeriac.broker.wakeup import doorbell

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The directory that belongs beside a SQLite file of its own, not made yet."""
    runtime._made.cache_clear()
    file = tmp_path / "x.sqlite3"
    file.touch()
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(file))
    yield tmp_path / "x.sqlite3-celeriac"
    runtime._made.cache_clear()


@pytest.fixture
def lock(place):
    """A lock whose directory is that place."""
    session = BrokerSession("default")
    yield SessionLock(session)
    session.close()


def test_the_directory_is_made_for_its_owner_and_hidden_from_git(place):
    before = os.umask(0)
    try:
        assert runtime.directory("default") == place
    finally:
        os.umask(before)

    assert not place.stat().st_mode & stat.S_IWOTH
    assert (place / ".gitignore").read_text() == "*\n"


def test_a_link_in_its_place_is_not_followed(place, tmp_path, caplog):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.symlink_to(elsewhere)

    assert runtime.directory("default") is None
    assert runtime.directory("default") is None

    assert list(elsewhere.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{place} is not used, because it is no directory" in caplog.text


def test_a_directory_that_everybody_may_write_is_not_used(place, caplog):
    place.mkdir()
    place.chmod(0o777)

    assert runtime.directory("default") is None

    assert list(place.iterdir()) == []
    assert "writable for everybody" in caplog.text


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_a_directory_of_another_user_is_used_only_beside_that_users_file(place, caplog):
    place.mkdir()
    os.chown(place, 65534, 65534)

    assert runtime.directory("default") is None
    assert "belongs to another user (65534)" in caplog.text

    runtime._made.cache_clear()
    os.chown(place.with_name("x.sqlite3"), 65534, 65534)
    assert runtime.directory("default") == place


def test_without_a_directory_there_is_neither_bell_nor_lock(place, tmp_path):
    place.symlink_to(tmp_path)

    assert doorbell.listen_at("default", "mails") is None
    doorbell.ring_all("default")
    session = BrokerSession("default")
    assert SessionLock(session).acquire(1) is False
    assert SessionLock(session).is_free(1) is False
    session.close()


@pytest.mark.parametrize("is_there", [True, False])
def test_links_among_the_files_are_not_written_through(place, tmp_path, is_there):
    victim = tmp_path / "victim"
    if is_there:
        victim.write_text("mine")
    place.mkdir()
    for name in (".gitignore", "1.lock", "x.bell"):
        (place / name).symlink_to(victim)
    session = BrokerSession("default")

    assert SessionLock(session).acquire(1) is False
    doorbell.ring_all("default")

    assert victim.exists() is is_there
    assert not is_there or victim.read_text() == "mine"
    session.close()


def test_a_ring_is_written_into_pipes_alone(place):
    runtime.directory("default")
    (place / "x.bell").write_text("no pipe")

    doorbell.ring_all("default")

    assert (place / "x.bell").read_text() == "no pipe"


def test_pipes_of_queues_that_are_gone_are_swept_away(place):
    idle, left = (doorbell.listen_at("default", queue) for queue in ("mails", "gone"))
    left.close()
    doorbell.listen_at("default", "new").close()
    for bell in (idle, left):
        os.utime(bell._path, (0, 0))

    doorbell.sweep("default")

    assert len(list(place.glob("*.bell"))) == 2
    assert not left._path.exists()
    assert doorbell.ring("default", "mails")
    idle.remove()


def test_no_error_of_the_file_system_leaves_locks_and_bells(place, lock, monkeypatch):
    bell = doorbell.listen_at("default", "mails")
    assert lock.acquire(1)
    [path] = place.glob("*.bell")
    os.utime(path, (0, 0))

    def fail(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", fail)
    bell.remove()
    bell.close()
    doorbell.sweep("default")
    doorbell.ring_all("default")
    assert not doorbell.ring("default", "mails")
    assert lock.is_free(2)
    lock.release(1)

    assert lock.is_free(1)


def test_a_lock_that_is_asked_for_again_is_still_there(lock):
    assert (lock.acquire(1), lock.acquire(1)) == (True, True)
    lock.release(1)
    assert lock.is_free(1)
    lock.forget()


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_shell_and_a_service_meet_in_one_place(tmp_path, monkeypatch, variable):
    monkeypatch.delenv(variable, raising=False)
    runtime._made.cache_clear()
    of_service = runtime.directory("mariadb")
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    runtime._made.cache_clear()

    assert runtime.directory("mariadb") == of_service is not None
    assert stat.S_IMODE(of_service.parent.stat().st_mode) == 0o700


def test_the_setting_says_another_place(tmp_path):
    runtime._made.cache_clear()
    with override_settings(CELERIAC={"RUNTIME_DIRECTORY": str(tmp_path / "there")}):
        found = runtime.directory("mariadb")

    assert found.parent == tmp_path / "there"
