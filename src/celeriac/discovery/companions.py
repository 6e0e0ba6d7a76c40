"""What else runs when a task file is imported: the packages above it, and compiled copies of all."""

from collections.abc import Iterator
from importlib.machinery import all_suffixes
from importlib.util import cache_from_source
from pathlib import Path


def companions(path: str, module: str) -> Iterator[Path]:
    """Every place from which `import module` may take code besides the file itself, whether there or not."""
    file = Path(path)
    yield from _compiled(file)
    for package in _packages(file, module):
        for suffix in all_suffixes():
            yield package / f"__init__{suffix}"
        yield from _compiled(package / "__init__.py")


def _packages(file: Path, module: str) -> list[Path]:
    """The directories that the parts of the module's name stand for."""
    depth = module.count(".") + (file.name == "__init__.py")
    return list(file.parents[:depth])


def _compiled(source: Path) -> Iterator[Path]:
    """The directory of compiled copies and the copy itself: Python runs it without a look at the source."""
    if source.suffix == ".py":
        copy = Path(cache_from_source(str(source)))
        yield copy.parent
        yield copy
