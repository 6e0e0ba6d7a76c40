"""Files are written into a directory, and no other one's work is lost."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE

from celeriac.errors import CeleriacError
from celeriac.services.plan import File


@dataclass(frozen=True, slots=True)
class Written:
    """Where a file is now, and whether it was written, replaced, or was there as it is."""

    path: Path
    did: str


def write(files: Sequence[File], directory: Path, *, is_forced: bool) -> list[Written]:
    """Write all, or none where one is there and differs. Raises CeleriacError."""
    if not directory.is_dir():
        raise CeleriacError(f"--write {directory}: there is no such directory.")
    found = [Written(directory / file.name, _state(directory / file.name, file.text)) for file in files]
    if not is_forced and (different := [str(each.path) for each in found if each.did == "replaced"]):
        raise CeleriacError(f"{', '.join(different)}: there, and different. --force replaces it.")
    for file, each in zip(files, found, strict=True):
        if each.did != "unchanged":
            _put(each.path, file.text)
    return found


def _state(path: Path, text: str) -> str:
    try:
        return "unchanged" if path.read_bytes() == text.encode() else "replaced"
    except FileNotFoundError:
        return "written"
    except OSError as error:
        raise CeleriacError(f"{path} cannot be read: {error.strerror}.") from error


def _put(path: Path, text: str) -> None:
    """Beside it first: whoever reads it never finds a half. What is replaced keeps its mode."""
    # A name that nobody can guess, as no link is followed there.
    beside = path.with_name(f".{path.name}.{token_hex(8)}.new")
    try:
        mode = S_IMODE(path.stat().st_mode) if path.exists() else None
        with open(
            beside, "x", encoding="utf-8", newline="\n", opener=partial(os.open, mode=mode or 0o666)
        ) as file:
            file.write(text)
        if mode is not None:
            beside.chmod(mode)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CeleriacError(f"{path} cannot be written: {error.strerror}.") from error
