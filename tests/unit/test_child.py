"""A worker as the process sees it that starts it again."""

import signal
import sys
from queue import SimpleQueue

import pytest
from celery.platforms import EX_FAILURE

from celeriac.cli import child


@pytest.fixture
def ends(monkeypatch):
    """Start a program in place of a worker; what is told of it until its end, and itself."""

    def run(program, during=lambda _: None, **known):
        monkeypatch.setattr(child, "get_child_arguments", lambda: [sys.executable, "-c", program])
        told = SimpleQueue()
        made = child.Child(told.put, reload_timeout_seconds=1, is_first=True, **known)
        found = [told.get(timeout=30)]
        during(made)
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


WAITING = """
import os, signal
from celeriac.cli import keys, reloaded
keys.note_if_waiting()
made = reloaded.taken()
made.wait_for_turn()
made._tell(ready=True)
signal.pause()
"""


def test_what_was_pressed_before_its_turn_is_heard_when_it_begins(ends):
    def during(made):
        made.signal(signal.SIGINT)
        assert made.code is None
        assert not made.is_ready
        made.begin()

    made, found = ends(WAITING, during, waits=True)

    assert (found[-1].code, made.is_ready) == (EX_FAILURE, False)


def test_what_waits_for_its_turn_ends_with_who_would_give_it(ends):
    made, found = ends(WAITING, lambda made: made._orders.close(), waits=True)

    assert (found[-1].code, made.is_ready) == (0, False)


def test_what_is_started_before_the_turn_hears_the_terminals_keys(ends, capfd):
    helper = "import signal; print(signal.pthread_sigmask(0, ()), signal.getsignal(2).__name__, flush=True)"
    program = f"""
import subprocess, sys
from celeriac.cli import keys
keys.note_if_waiting()
subprocess.run([sys.executable, "-c", {helper!r}], check=True)
"""

    ends(program, waits=True)

    assert capfd.readouterr().out == "set() default_int_handler\n"
