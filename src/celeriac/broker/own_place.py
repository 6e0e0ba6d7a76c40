"""The user's own place in the temporary directory, which nobody else can have prepared.

The health probe looks there without Django and in no time: the standard library alone, and little of it.
"""

import os
import stat

#: The same for every process of the host, whatever its environment.
_TEMPORARY = "/tmp"  # noqa: S108 - what is made there is looked at before it is used


def of_user() -> str | None:
    """The place, made when it is not there; None: this host, or somebody else's file, has none for us.

    Neither XDG_RUNTIME_DIR nor TMPDIR is asked: a shell has them and a service has not, and two processes
    with different answers would never hear each other's bells.
    """
    if not hasattr(os, "geteuid"):
        return None
    path = f"{_TEMPORARY}/celeriac-{os.geteuid()}"
    try:
        if not os.path.lexists(path):
            os.mkdir(path, mode=0o700)  # noqa: PTH102 - pathlib takes too long to import
        found = os.lstat(path)
    except OSError:
        return None
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return path if is_ours else None
