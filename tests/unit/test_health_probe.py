"""The probe: what it says of the files that workers leave, and what it does without."""

import json
import os
import subprocess
import sys
import time

import pytest
from django.test import override_settings

from celeriac.broker import runtime
from celeriac.cli import health
from celeriac.health import __main__, place, probe, sign
from celeriac.worker import marking

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no signs of life here")


@pytest.fixture
def directory(tmp_path):
    """The runtime directory that the settings name."""
    with override_settings(CELERIAC={"RUNTIME_DIRECTORY": str(tmp_path)}):
        yield tmp_path
        sign.end()


@pytest.fixture
def living(directory):
    """This process as a worker whose loop turns."""
    sign.begin("one@here")
    sign.say(place.RUNNING)
    (file,) = (directory / "health").iterdir()
    return file


def look(directory, *words):
    return __main__.main(["--directory", str(directory), *words])


def silent(file, seconds):
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_without_a_worker_it_is_69(directory, capsys):
    assert look(directory) == 69
    assert capsys.readouterr().out == "No worker is here.\n"


def test_a_worker_whose_loop_turns_is_well(living, directory, capsys):
    assert look(directory) == 0
    assert capsys.readouterr().out == f"one@here (pid {os.getpid()}): running\n"


def test_a_worker_whose_loop_does_not_turn_hangs(living, directory, capsys):
    silent(living, 40)

    assert look(directory) == 1
    assert "hangs: its loop has not turned for 40 s" in capsys.readouterr().out
    assert look(directory, "--max-age", "60") == 0


@pytest.mark.parametrize("state", [place.CONNECTING, place.WORKING, place.STOPPING])
def test_a_loop_that_has_no_reason_to_turn_does_not_hang(living, directory, state):
    sign.say(state)
    silent(living, 4000)

    assert look(directory) == 0
    assert look(directory, "--ready") == (0 if state == place.WORKING else 1)


def test_who_stops_goes_on_stopping(living, directory):
    sign.say(place.STOPPING)
    sign.say(place.CONNECTING)

    (found,) = probe.look(place.directory(str(directory))).workers
    assert found[0].state == place.STOPPING


def test_a_worker_that_was_killed_is_no_worker(living, directory, capsys):
    # As the kernel does it.
    sign._own.forget()

    assert look(directory) == 69
    assert capsys.readouterr().out == "one@here: its process is gone\n"


def test_what_a_killed_worker_left_is_swept_by_the_next(living, directory):
    left = directory / "health" / "1-1.worker"
    left.write_text("running\nold@here\n1\n")
    silent(left, 100)
    silent(living, 100)

    sign._sweep(directory / "health")

    assert list((directory / "health").iterdir()) == [living]


def test_one_worker_is_asked_for_by_its_name(living, directory):
    assert look(directory, "--node", "one@here") == look(directory, "--node", "one") == 0
    assert look(directory, "--node", "two") == 69


def test_a_worker_that_ends_leaves_nothing(living, directory):
    sign.end()

    assert list((directory / "health").iterdir()) == []


def test_what_is_no_sign_of_life_is_nobodys(directory):
    (directory / "health").mkdir()
    (directory / "health" / "1-1.worker").write_text("?")

    assert look(directory) == 69


def test_the_child_of_a_fork_keeps_no_lock(living, directory):
    child = os.fork()
    if not child:
        os._exit(0 if sign._own is None else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert runtime.try_lock(living) is None


def test_both_commands_say_the_same_to_machines(living, directory, capsys):
    assert look(directory, "--json") == 0
    probed = json.loads(capsys.readouterr().out)
    assert health.COMMAND.run(None, ["--json"]) == 0
    commanded = json.loads(capsys.readouterr().out)

    for each in (probed, commanded):
        assert each["workers"][0].pop("silent_seconds") < 60
    assert probed == commanded
    assert probed == {
        "status": "healthy",
        "workers": [{"node": "one@here", "pid": os.getpid(), "state": "running", "fault": None}],
        "died": [],
    }


def test_the_probe_imports_neither_django_nor_celery(directory):
    code = (
        "import sys; from celeriac.health import __main__; __main__.main([]);"
        "found = {name.partition('.')[0] for name in sys.modules};"
        "print(sorted(found & {'django', 'celery', 'kombu', 'typing'}))"
    )
    environment = {"PATH": os.environ["PATH"], place.VARIABLE: str(directory)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert said.stdout.splitlines() == ["No worker is here.", "[]"]


def test_the_probe_takes_less_than_100_ms_of_a_processor(directory):
    took = min(_seconds(directory) for _ in range(5))

    assert took < 0.1


def _seconds(directory):
    before = os.times()
    subprocess.run([sys.executable, "-m", "celeriac.health", "--directory", str(directory)], check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.parametrize("is_link", [True, False])
def test_no_sign_is_left_in_a_directory_that_others_can_have_prepared(directory, tmp_path, is_link, caplog):
    kept = tmp_path / "kept"
    kept.mkdir()
    file = kept / "1-1.worker"
    file.write_text("of somebody else")
    silent(file, 4000)
    if is_link:
        (directory / "health").symlink_to(kept)
    else:
        kept.rename(directory / "health")
        (directory / "health").chmod(0o777)
        file = directory / "health" / file.name

    sign.begin("one@here")

    assert "will not find this worker" in caplog.text
    assert list(file.parent.iterdir()) == [file]


def test_only_signs_of_life_are_swept(living, directory):
    other = directory / "health" / "notes.txt"
    other.write_text("mine")
    silent(other, 4000)

    sign._sweep(directory / "health")

    assert other.exists()


def test_a_task_within_a_task_of_a_solo_worker_does_not_end_its_work(living, directory):
    for step, state in (
        (marking._working, place.WORKING),
        (marking._working, place.WORKING),
        (marking._turning, place.WORKING),
        (marking._turning, place.RUNNING),
    ):
        step()
        (found,) = probe.look(place.directory(str(directory))).workers
        assert found[0].state == state
