"""Files are written into a directory, and no other one's work is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Beside it first: whoever reads it never finds a half."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        raise CeleriacError(f"{path} cannot be written: {error.strerror}.") from error
