"""A worker as the process sees it that starts it again."""

import sys
from queue import SimpleQueue

import pytest

from celeriac.cli import child


@pytest.fixture
def ends(monkeypatch):
    """Start a program in place of a worker; what is told of it until its end, and itself."""

    def run(program):
        monkeypatch.setattr(child, "get_child_arguments", lambda: [sys.executable, "-c", program])
        told = SimpleQueue()
        made = child.Child(told.put, reload_timeout_seconds=1, is_first=True)
        found = [told.get(timeout=30)]
        while not isinstance(found[-1], child.Ended):
            found.append(told.get(timeout=30))
        return made, found

    return run


def test_an_edit_at_the_moment_of_its_end_is_no_error(ends):
    made, found = ends("raise SystemExit(3)")
    made.follows = True

    made.reload()

    assert (found[-1].code, made.is_reloading) == (3, True)


def test_half_a_line_is_passed_over(ends):
    made, found = ends(
        "import os; told = int(os.environ['CELERIAC_RELOADER'].split(',')[1]);"
        """os.write(told, b'{"fil{"stopping": "SIGINT"}\\n{"ready": true, "files": ["x"]}\\n{"fol')"""
    )

    assert made.is_ready
    assert found[0].files == ["x"]
