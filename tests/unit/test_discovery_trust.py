"""Whose files are trusted: the owners of the project, and no wider circle."""

import os
from pathlib import Path

import pytest

from celeriac.discovery.ownership import Trust

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no owners and modes")


def status(*, mode: int = 0o755, uid: int = 1000, gid: int = 1000) -> os.stat_result:
    return os.stat_result((0o040000 | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


TRUST = Trust(users=frozenset({0, 1000}), groups=frozenset({0, 1000}))


@pytest.mark.parametrize(
    "trusted",
    [status(), status(uid=0, gid=0), status(mode=0o775), status(mode=0o755, gid=33), status(mode=0o2775)],
    ids=["own", "root's", "umask 002 with the user's own group", "read by a foreign group", "setgid"],
)
def test_trusted(trusted: os.stat_result) -> None:
    assert TRUST.complaint(trusted, "shop/") is None


@pytest.mark.parametrize(
    ("suspect", "words"),
    [
        (status(uid=33), "belongs to user 33"),
        (status(mode=0o777), "writable by everyone"),
        (status(mode=0o1777), "writable by everyone"),
        (status(mode=0o775, gid=33), "writable by group 33"),
    ],
    ids=["foreign owner", "world-writable", "sticky", "group of the web server"],
)
def test_not_trusted(suspect: os.stat_result, words: str) -> None:
    assert words in str(TRUST.complaint(suspect, "shop/"))


def test_umask_002_keeps_a_project_of_its_owner_working(tmp_path: Path) -> None:
    (tmp_path / "manage.py").touch()
    (tmp_path / "manage.py").chmod(0o664)
    tmp_path.chmod(0o775)

    trust = Trust.of(tmp_path)

    assert trust.complaint(tmp_path.stat(), "shop/") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_owner_and_writing_group_of_manage_py_are_trusted(tmp_path: Path) -> None:
    manage = tmp_path / "manage.py"
    manage.touch()
    manage.chmod(0o664)
    os.chown(manage, 54321, 54322)

    trust = Trust.of(tmp_path)

    assert trust.complaint(status(mode=0o775, uid=54321, gid=54322), "shop/") is None
    assert trust.complaint(status(mode=0o775, uid=54321, gid=54323), "shop/") is not None


def test_modes_say_nothing_where_everything_is_open(tmp_path: Path) -> None:
    (tmp_path / "manage.py").touch()
    (tmp_path / "manage.py").chmod(0o777)
    tmp_path.chmod(0o777)

    assert Trust.of(tmp_path).complaint(status(mode=0o777), "shop/") is None
