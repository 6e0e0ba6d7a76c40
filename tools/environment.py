"""Make the virtual environments of this checkout; needs Python and nothing else.

`.venv` has the oldest supported versions where its Python allows, `.venv-newest` the newest ones on
Python 3.13 where that is found. With the word `bench` it makes `.venv-bench`, which has the newest versions
and everything that the benchmark compares. What is already there and up to date is left alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "postgresql,redis,flower,example,test,lint"
EXTRAS_OF_BENCH = "postgresql,redis,bench"
OLDEST, NEWEST, BENCH = "constraints/oldest.txt", "constraints/newest.txt", "constraints/bench.txt"
#: The first of these that can make an environment becomes `.venv`.
PREFERRED = ((3, 11), (3, 12), (3, 13), (3, 14))
#: Django 6.1 needs Python 3.12; from 3.13 on the newest versions are the tested ones.
FIRST_WITH_NEWEST = (3, 13)
#: The first of these that is found; django-ox needs 3.12.
PREFERRED_FOR_BENCH = ((3, 13), (3, 14), (3, 12))
MYSQL = "mysqlclient"
Version = tuple[int, int]


def main() -> None:
    """Make `.venv`, without the word `demo` also `.venv-newest`; with `bench` only `.venv-bench`."""
    if "bench" in sys.argv[1:]:
        _make(ROOT / ".venv-bench", _python_for_bench(), BENCH, extras=EXTRAS_OF_BENCH)
        return
    python = _python_for_main()
    version = _version(python) or PREFERRED[0]
    constraints = NEWEST if version >= FIRST_WITH_NEWEST else OLDEST
    _make(ROOT / ".venv", python, constraints)
    if "demo" not in sys.argv[1:]:
        _make_newest(constraints)


def _make_newest(constraints_of_main: str) -> None:
    if constraints_of_main == NEWEST:
        _say("No Python 3.11 or 3.12 here: the one run of the tests has the newest versions.")
        return
    python = _find(FIRST_WITH_NEWEST)
    if python is None:
        shutil.rmtree(ROOT / ".venv-newest", ignore_errors=True)
        _say("No Python 3.13 here: the run of the tests with the newest versions is left out.")
        return
    _make(ROOT / ".venv-newest", python, NEWEST)


def _make(venv: Path, python: str, constraints: str, *, extras: str = EXTRAS) -> None:
    """Make the environment, or nothing when it was made from the same files."""
    missing = _missing_for_mysql(python)
    stamp, wanted = venv / "made-from", _digest(python, constraints, missing)
    if _is_made(venv, stamp, wanted):
        _say(f"{venv.name}: up to date.")
    else:
        _say(f"{venv.name}: making it with {_full_version(python)} and {constraints} (a minute or so).")
        _run([python, "-m", "venv", "--clear", str(venv)], f"{venv.name} could not be made")
        _pip(venv, constraints, "--editable", f".[{extras}]")
        if not missing:
            _pip(venv, constraints, "--editable", ".[mysql]")
        stamp.write_text(wanted)
    if missing:
        _say(f"{venv.name}: without {MYSQL}, for want of {missing}; MariaDB is left out.")
        _say("  To have them: apt-get install libmariadb-dev pkg-config gcc python3-dev")


def _is_made(venv: Path, stamp: Path, wanted: str) -> bool:
    return (venv / "bin" / "python").exists() and stamp.exists() and stamp.read_text() == wanted


def _digest(python: str, constraints: str, missing: str) -> str:
    """Changes with whatever decides what an environment contains."""
    digest = hashlib.sha256(f"{ROOT} {_full_version(python)} {missing}".encode())
    for name in ("pyproject.toml", constraints, "tools/environment.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _pip(venv: Path, constraints: str, *what: str) -> None:
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    options = ["--disable-pip-version-check", "--constraint", constraints]
    _run([*command, *options, *what], "The installation failed; is the network there?")


def _run(command: list[str], failure: str) -> None:
    ended = subprocess.run(command, cwd=ROOT, check=False)
    if ended.returncode:
        _stop(f"{failure} (exit code {ended.returncode}: {' '.join(command)})")


# Which Python


def _python_for_main() -> str:
    found = [python for version in PREFERRED if (python := _find(version))]
    if not found:
        _stop("Python 3.11 or newer is needed and was not found.")
    for python in found:
        if _can_make_venv(python):
            return python
    return _stop(f"{found[0]} has no venv module; install it: apt-get install python3-venv")


def _python_for_bench() -> str:
    for version in PREFERRED_FOR_BENCH:
        if (python := _find(version)) and _can_make_venv(python):
            return python
    return _stop("The benchmark needs Python 3.12 or newer, for django-ox, and none was found.")


def _find(version: Version) -> str | None:
    """A Python of exactly this version: this one, one on PATH, or one of pyenv."""
    name = f"python{version[0]}.{version[1]}"
    on_path = [found for name in (name, "python3") if (found := shutil.which(name))]
    for candidate in [sys.executable, *on_path, *_of_pyenv(version)]:
        # A shim of pyenv is on PATH for each version, and fails for those that are not selected.
        if _version(candidate) == version:
            return candidate
    return None


def _of_pyenv(version: Version) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(path) for path in root.glob(f"versions/{version[0]}.{version[1]}.*/bin/python3")]


def _version(python: str) -> Version | None:
    answer = _ask(python, "import sys; print(*sys.version_info[:2])")
    if answer is None:
        return None
    major, minor = answer.split()
    return int(major), int(minor)


def _full_version(python: str) -> str:
    return _ask(python, "import platform; print('Python', platform.python_version())") or "an unknown Python"


def _can_make_venv(python: str) -> bool:
    return _ask(python, "import ensurepip, venv") is not None


def _missing_for_mysql(python: str) -> str:
    """What keeps mysqlclient, which has no wheels, from being built; empty when nothing does."""
    headers = "import os, sysconfig; print(os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    missing = []
    if not shutil.which("cc") and not shutil.which("gcc"):
        missing.append("a C compiler")
    if not _has_mysql_headers():
        missing.append("the headers of MariaDB or MySQL")
    if _ask(python, headers) != "True":
        missing.append("the headers of Python")
    return " and ".join(missing)


def _has_mysql_headers() -> bool:
    """Whether pkg-config knows a client library: mysqlclient asks it and nothing else."""
    if not shutil.which("pkg-config"):
        return False
    known = [["pkg-config", "--exists", name] for name in ("mysqlclient", "libmariadb", "mariadb")]
    return any(subprocess.run(command, check=False).returncode == 0 for command in known)


def _ask(python: str, code: str) -> str | None:
    """What the code prints there; None when it fails or that Python cannot be run."""
    try:
        ended = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if ended.returncode else ended.stdout.strip()


def _say(line: str) -> None:
    print(line, flush=True)


def _stop(line: str) -> NoReturn:
    sys.exit(line)


if __name__ == "__main__":
    main()
