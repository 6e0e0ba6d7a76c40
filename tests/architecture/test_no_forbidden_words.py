"""No file speaks of one person's machine, or of work that no issue keeps."""

import re

import pytest

from tests.architecture.source import ROOT, tracked_files

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|Users)/[\w.]")
UNKEPT_PROMISE = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\(#\d+\))")


@pytest.mark.parametrize("pattern", [MACHINE_PATH, UNKEPT_PROMISE], ids=["machine path", "unkept promise"])
def test_no_file_has(pattern):
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]

    assert not found
