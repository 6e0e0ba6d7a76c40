"""The options of `celery start` that Celery does not have, and when it reloads."""

import pytest
from django.test import override_settings

from celeriac.cli import reloading, start_options
from celeriac.errors import CeleriacError


def test_our_options_are_kept_from_celery():
    ours, rest = start_options.split(
        ["--no-reload", "-c", "2", "--graceful=30", "--reload-timeout", "2.5", "-Q", "mail"]
    )

    assert ours == start_options.StartOptions(reload=False, reload_timeout_seconds=2.5, graceful_seconds=30.0)
    assert rest == ["-c", "2", "-Q", "mail"]


def test_without_them_a_worker_has_the_time_that_it_needs():
    ours, _ = start_options.split([])

    assert ours == start_options.StartOptions(reload=None, reload_timeout_seconds=10.0, graceful_seconds=None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-A", "proj"], "start: -A stands before the command: manage.py celery -A proj start"),
        (["--app=proj"], "start: -A stands before the command: manage.py celery -A proj start"),
        (["--relod"], "start: no option '--relod'; did you mean --reload?"),
        (["--gracefull=3"], "start: no option '--gracefull=3'; did you mean --graceful?"),
        (["--no-beats"], "start: no option '--no-beats'; did you mean --no-beat?"),
        (["-Q", ""], "start: -Q names no queue. For example: -Q celery,mails"),
        (["--queues=,"], "start: -Q names no queue. For example: -Q celery,mails"),
    ],
)
def test_a_slip_that_celery_would_take_or_not_explain_is_one_line(words, said):
    with pytest.raises(CeleriacError) as caught:
        start_options.split(words)
    assert str(caught.value) == said


def test_options_of_celerys_own_are_left_to_it():
    words = ["--beat", "--pool=solo", "--no-beat", "--scheduler", "x", "-Qa,b", "--schedule", "y"]

    assert start_options.split(words)[1] == words


@pytest.mark.parametrize("words", [["--graceful"], ["--graceful=soon"], ["--graceful", "-1"]])
def test_a_time_that_is_none_is_one_line(words):
    with pytest.raises(CeleriacError, match=r"^--graceful needs seconds, as in --graceful 30, not "):
        start_options.split(words)


@pytest.fixture
def command_line(monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "celery", "start"])
    monkeypatch.setattr(reloading.output, "is_terminal", lambda: True)


@pytest.mark.parametrize(
    ("debug", "asked", "is_terminal", "wanted"),
    [
        (True, None, True, True),
        (True, None, False, False),
        (True, True, False, True),
        (True, False, True, False),
        (False, None, True, False),
        (False, False, True, False),
    ],
)
def test_it_reloads_in_debug_and_on_a_terminal(command_line, monkeypatch, debug, asked, is_terminal, wanted):
    monkeypatch.setattr(reloading.output, "is_terminal", lambda: is_terminal)

    with override_settings(DEBUG=debug):
        assert reloading.is_wanted(asked, []) is wanted


@pytest.mark.parametrize(
    ("debug", "words", "fault"), [(False, [], "needs DEBUG = True"), (True, ["-D"], "and --detach")]
)
def test_a_reload_that_cannot_be_is_refused_only_where_it_is_asked_for(command_line, debug, words, fault):
    with override_settings(DEBUG=debug):
        assert reloading.is_wanted(None, words) is False
        with pytest.raises(CeleriacError, match=f"--reload {fault}"):
            reloading.is_wanted(True, words)
