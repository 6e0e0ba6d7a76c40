"""Who may write a file or directory: only the project's own people may give us code to run."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trust:
    """The users and groups who could change `manage.py` anyway; nobody else is trusted."""

    users: frozenset[int]
    groups: frozenset[int]
    #: True where permissions say nothing: Windows, and shares that show 0777 for everything.
    has_no_permissions: bool = False

    @classmethod
    def of(cls, root: Path) -> "Trust":
        """Read from `manage.py` (or the root without one) whom the project trusts."""
        # sys.platform rather than os.name: type checkers then skip the POSIX calls on Windows.
        if sys.platform == "win32":
            return cls(frozenset(), frozenset(), has_no_permissions=True)
        manage = root / "manage.py"
        pair = ((manage if manage.is_file() else root).stat(), root.stat())
        users = frozenset({0, os.geteuid(), pair[0].st_uid})
        return cls(users, _trusted_groups(users, pair), _is_open_mount(pair))

    def complaint(self, status: os.stat_result, shown: str) -> str | None:
        """Why code from here cannot be trusted, with the cure; None when it can."""
        if self.has_no_permissions:
            return None
        if status.st_uid not in self.users:
            return f"{shown} belongs to user {status.st_uid}, not to you, root or the owner of manage.py"
        if status.st_mode & stat.S_IWOTH:
            return f"{shown} is writable by everyone: chmod o-w"
        if status.st_mode & stat.S_IWGRP and status.st_gid not in self.groups:
            return f"{shown} is writable by group {status.st_gid}, which cannot write manage.py: chmod g-w"
        return None


def _is_open_mount(pair: tuple[os.stat_result, os.stat_result]) -> bool:
    """Whether everyone may write both manage.py and its directory.

    WSL's /mnt/c, Docker Desktop's shares and Codespaces show that for every file. Whoever can
    write manage.py needs no task file, so a rule on modes would protect nothing there.
    """
    return all(status.st_mode & stat.S_IWOTH for status in pair)


if sys.platform != "win32":
    import grp
    import pwd

    def _trusted_groups(users: frozenset[int], pair: tuple[os.stat_result, os.stat_result]) -> frozenset[int]:
        """Our own group, root's, the private ones of trusted users, and those that write manage.py."""
        writers = {status.st_gid for status in pair if status.st_mode & stat.S_IWGRP}
        private = {gid for uid in users if (gid := _private_group(uid)) is not None}
        return frozenset({0, os.getegid()} | writers | private)

    def _private_group(uid: int) -> int | None:
        """The user's group of one: umask 002 leaves everything writable by it, and by nobody else."""
        try:
            user = pwd.getpwuid(uid)
            is_private = grp.getgrgid(user.pw_gid).gr_name == user.pw_name
        except KeyError:
            # Containers run users without an entry; such a user's group has the same number.
            return uid
        return user.pw_gid if is_private else None
