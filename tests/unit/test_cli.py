"""Words and options of `manage.py celery`, and what is printed for people and for pipes."""

import ast
import io
import os
import subprocess
import sys
import textwrap

import pytest
from celery import Celery
from celery.bin.base import CeleryOption
from django.core.management import CommandError, call_command
from django.db import connections

from celeriac.cli import detaching, engine, global_options, main, output, start
from celeriac.cli.words import value_of
from celeriac.errors import CeleriacError, WrongSetting
from celeriac.management.commands.celery import Command
from celeriac.worker.platform import Decision
from celeriac.worker.preflight import Preflight

CONCURRENCY, POOL = ("-c", "--concurrency"), ("-P", "--pool")


@pytest.mark.parametrize(
    ("options", "names", "value"),
    [
        (["-c4"], CONCURRENCY, "4"),
        (["-c", "4"], CONCURRENCY, "4"),
        (["--concurrency=4"], CONCURRENCY, "4"),
        (["--concurrency", "4"], CONCURRENCY, "4"),
        (["-l", "debug", "-c", "4", "-E"], CONCURRENCY, "4"),
        (["-c", "4", "--concurrency=8"], CONCURRENCY, "8"),
        (["-P", "threads"], POOL, "threads"),
        (["-Pthreads"], POOL, "threads"),
        (["--pool=solo"], POOL, "solo"),
        (["--pool", "solo", "-P", "threads"], POOL, "threads"),
        (["--pool-start-method=spawn"], POOL, None),
        (["--pool-start-method", "spawn"], ("--pool-start-method",), "spawn"),
        (["-c"], CONCURRENCY, None),
        (["--concurrency="], CONCURRENCY, ""),
        (["-n", "c4@%h"], CONCURRENCY, None),
        ([], CONCURRENCY, None),
    ],
)
def test_an_option_is_read_in_every_spelling(options, names, value):
    assert value_of(options, names) == value


@pytest.fixture
def words_for_celery(monkeypatch):
    """What `celery start` hands to Celery's worker; nothing is started."""
    calls = []
    found = Preflight("default", "default", switched_to_wal=False)
    monkeypatch.setattr(start.preflight, "inspect", lambda _: found)
    monkeypatch.setattr(start.platform, "apply", lambda *_: None)
    monkeypatch.setattr(start.signals.celeryd_after_setup, "connect", lambda *_, **__: None)
    monkeypatch.setattr(start.celerys_worker, "run", lambda _, words: calls.append(list(words)) or 0)
    return calls


@pytest.fixture
def app():
    return Celery("cli", set_as_current=False)


def test_start_is_celerys_worker_that_tells_what_it_does(words_for_celery, app):
    assert start.run(app, []) == 0

    assert words_for_celery == [["-B", "--loglevel", "info"]]


@pytest.mark.parametrize("beat", [["-b"], ["--beat"], ["-B"], []])
def test_options_are_handed_on(words_for_celery, app, beat):
    start.run(app, [*beat, "-c4", "-l", "debug", "-P", "threads"])

    assert words_for_celery == [["-B", "-c4", "-l", "debug", "-P", "threads"]]


@pytest.mark.parametrize(
    ("words", "named", "has_beat"),
    [
        (["--no-beat"], None, False),
        ([], "django_celery_beat.schedulers:DatabaseScheduler", False),
        (["--beat"], "django_celery_beat.schedulers:DatabaseScheduler", True),
        (["--no-beat"], "django_celery_beat.schedulers:DatabaseScheduler", False),
        (["--scheduler", "django"], None, False),
        (["-B", "--scheduler=django"], None, True),
    ],
)
def test_the_schedule_is_in_each_worker_unless_somebody_else_has_it(
    words_for_celery, app, words, named, has_beat
):
    if named:
        app.conf.beat_scheduler = named
    start.run(app, words)

    assert ("-B" in words_for_celery[0]) is has_beat
    assert "--no-beat" not in words_for_celery[0]


@pytest.mark.parametrize("option", [["--pool-start-method=fork"], ["--pool-start-method", "fork"]])
def test_the_start_method_is_kept_from_a_celery_that_may_not_know_it(words_for_celery, app, option):
    start.run(app, [*option, "-E"])

    assert words_for_celery == [["-B", "-E", "--loglevel", "info"]]


def test_an_unknown_start_method_is_refused(words_for_celery, app):
    with pytest.raises(CeleriacError, match=r"--pool-start-method 'nix' is unknown\. Use fork or spawn\."):
        start.run(app, ["--pool-start-method=nix"])


def test_the_platforms_pool_is_named_to_celery(words_for_celery, app, monkeypatch):
    threads = Decision("threads", None, None, needs_shim=False, alive_seconds=None, reason="")
    monkeypatch.setattr(start.platform, "decide_here", lambda **_: threads)

    start.run(app, [])

    assert words_for_celery[0] == ["-B", "--pool", "threads", "--loglevel", "info"]


def test_a_pool_from_the_settings_is_left_to_celery(words_for_celery, app):
    app.conf.worker_pool = "threads"

    start.run(app, [])

    assert words_for_celery == [["-B", "--loglevel", "info"]]


ROWS = [("a", "longer"), ("bb", "c")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_in_a_pipe_is_values_and_tabs():
    stream = io.StringIO()

    output.table(("file", "tasks"), ROWS, to=stream)

    assert stream.getvalue() == "a\tlonger\nbb\tc\n"


def test_a_table_on_a_terminal_is_columns_with_a_header():
    stream = Terminal()

    output.table(("file", "tasks"), ROWS, to=stream)

    assert stream.getvalue() == "FILE  TASKS\na     longer\nbb    c\n"


def test_a_cell_is_one_line_and_no_order_to_a_terminal():
    stream = io.StringIO()

    output.table(("name",), [("a\tb\nc\x1b[2J",)], to=stream)

    assert stream.getvalue() == "a b c\\x1b[2J\n"


def test_an_empty_table_is_its_header_on_a_terminal_and_nothing_in_a_pipe():
    pipe, terminal = io.StringIO(), Terminal()

    output.table(("file",), [], to=pipe)
    output.table(("file",), [], to=terminal)

    assert (pipe.getvalue(), terminal.getvalue()) == ("", "FILE\n")


@pytest.mark.parametrize(
    ("ended", "code", "printed"),
    [(None, 0, ""), (0, 0, ""), (70, 70, ""), ("celery: no database", 2, "celery: no database\n")],
)
def test_the_end_of_celerys_command_is_an_exit_code(monkeypatch, capsys, ended, code, printed):
    def main(**_):
        raise SystemExit(ended)

    monkeypatch.setattr(engine.celery_command, "main", main)

    assert engine.run(Celery("cli", set_as_current=False), ["status"]) == code
    assert capsys.readouterr().err == printed


def test_the_worker_has_the_options_that_the_app_gives_it(capsys, app):
    app.user_options["worker"].add(CeleryOption(["--ledger"], help="where to write"))
    app.user_options["preload"].add(CeleryOption(["--site"], help="which of them"))

    for _ in range(2):
        assert start.celerys_worker.run(app, ["--help"]) == 0

        said = capsys.readouterr().out
        assert [said.count(word) for word in ("Usage: manage.py celery worker", "--ledger", "--site")] == [
            1
        ] * 3


def test_commands_of_ours_leave_celerys_others_alone():
    code = """
    import sys, django
    django.setup()
    from celeriac.cli import main, start, status, tasks
    print([name for name in sys.modules if name.startswith("celery.bin.") or "flower" in name])
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(ast.literal_eval(done.stdout)) == {"celery.bin.base", "celery.bin.worker"}


def test_an_unknown_command_is_celerys_usage_error(capfd):
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "celery", "pingg"])

    assert ended.value.code == 2
    assert "No such command 'pingg'" in capfd.readouterr().err


def test_a_slip_in_our_words_is_told_by_ours():
    with pytest.raises(CeleriacError, match=r"no command 'doctr'\. Did you mean doctor\?"):
        main.main(["doctr"])


def test_help_names_our_commands_and_celerys(capfd):
    assert main.main(["--help"]) == 0

    shown = capfd.readouterr().out
    assert shown.index("start ") < shown.index("discovered ") < shown.index("inspect")


@pytest.mark.parametrize("word", list(main.OURS))
def test_our_commands_have_help_with_an_example(capsys, word):
    assert main.main([word, "--help"]) == 0

    assert f"Example: python manage.py celery {word}" in capsys.readouterr().out


def test_djangos_own_options_do_not_reach_celery(monkeypatch):
    given = []
    monkeypatch.setattr("celeriac.management.commands.celery.main", lambda words: given.append(words) or 0)

    with pytest.raises(SystemExit):
        Command().run_from_argv(
            ["manage.py", "celery", "status", "--settings=x", "--pythonpath", "y", "-t", "1"]
        )

    assert given == [["status", "-t", "1"]]


def test_a_command_takes_leave_of_the_database(default_alias):
    connections[default_alias].ensure_connection()

    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "celery", "help"])

    assert connections[default_alias].connection is None


def test_an_error_of_ours_is_one_line_and_code_2(monkeypatch, capsys):
    def fail(words):
        raise WrongSetting("CELERIAC has no key 'X'.")

    monkeypatch.setattr("celeriac.management.commands.celery.main", fail)

    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "celery", "start"])

    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == ["celery: CELERIAC has no key 'X'."]


def test_call_command_prints_where_it_is_told_to(capsys):
    out = io.StringIO()

    call_command("celery", "tasks", "--help", stdout=out)

    assert "celery tasks" in out.getvalue()
    assert capsys.readouterr().out == ""


def test_call_command_raises_command_error():
    with pytest.raises(CommandError) as raised:
        call_command("celery", "pingg")

    assert raised.value.returncode == 2


def test_call_command_raises_our_errors_as_command_errors(settings_with_unknown_key):
    with pytest.raises(CommandError, match="CELERIAC has no key"):
        call_command("celery", "start")


@pytest.fixture
def settings_with_unknown_key():
    from django.test import override_settings

    with override_settings(CELERIAC={"POL_SECONDS": 1}):
        yield


@pytest.fixture
def given_words(monkeypatch):
    """What `start` is given; nothing is started."""
    given = []
    monkeypatch.setattr(start, "run", lambda _, words: given.append(list(words)) or 0)
    for name in ("NO_COLOR", "FORCE_COLOR", "CELERY_SKIP_CHECKS"):
        monkeypatch.delenv(name, raising=False)
        # What the command sets goes away with the test.
        monkeypatch.setenv(name, "")
    return given


@pytest.mark.parametrize(
    "words",
    [
        ["start", "--traceback", "-c", "2"],
        ["start", "-v", "2", "-c", "2"],
        ["start", "-v2", "-c", "2"],
        ["start", "--verbosity=2", "-c", "2"],
        ["start", "--no-color", "--skip-checks", "-c", "2"],
        ["-A", "celeriac.app:get_app()", "start", "-c", "2"],
        ["-C", "-q", "--skip-checks", "start", "-c", "2"],
    ],
)
def test_what_every_command_takes_is_no_fault_of_start(given_words, monkeypatch, words):
    monkeypatch.setattr(global_options, "find_app", lambda _: main.get_app())

    assert main.main(words) == 0
    assert given_words == [["-c", "2"]]


def test_djangos_options_do_what_they_say(given_words):
    main.main(["start", "--no-color", "--skip-checks"])

    assert (os.environ["NO_COLOR"], os.environ["CELERY_SKIP_CHECKS"]) == ("1", "true")


def test_traceback_shows_where_an_error_of_ours_came_from(monkeypatch):
    def fail(words):
        raise WrongSetting("CELERIAC has no key 'X'.")

    monkeypatch.setattr("celeriac.management.commands.celery.main", fail)

    with pytest.raises(WrongSetting):
        Command().run_from_argv(["manage.py", "celery", "start", "--traceback"])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-A", "tests.process.own_app"], "start is for the project's app"),
        (["-Anowhere"], "-A nowhere: no Celery app can be imported from there"),
        (["-b", "redis://"], "start does not take Celery's option -b. Set CELERY_BROKER_URL."),
        (["--config=x"], "start does not take Celery's option --config. Leave it out."),
    ],
)
def test_what_start_cannot_take_before_it_is_one_line(given_words, monkeypatch, words, text):
    other = Celery("other", set_as_current=False)
    if "tests.process.own_app" in words:
        monkeypatch.setattr(global_options, "find_app", lambda _: other)

    with pytest.raises(CeleriacError) as raised:
        main.main([*words, "start"])

    assert str(raised.value).startswith(text)
    assert len(str(raised.value).splitlines()) == 1


def test_a_worker_with_an_app_before_it_is_prepared_too(monkeypatch, app):
    prepared = []
    monkeypatch.setattr(global_options, "find_app", lambda _: app)
    monkeypatch.setattr(start, "prepare", lambda of, options: prepared.append((of, options)))
    monkeypatch.setattr(engine, "run", lambda *_: 0)

    main.main(["-A", "proj", "worker", "-c", "2"])

    assert prepared == [(app, ["worker", "-c", "2"])]


@pytest.mark.parametrize(
    ("words", "attached"),
    [
        (["celery", "start", "-D", "-c", "2"], ["celery", "start", "-c", "2"]),
        (["celery", "start", "--detach"], ["celery", "start"]),
        (["celery", "start", "-BD"], ["celery", "start", "-B"]),
        (["celery", "start", "-D", "--uid", "5", "--gid=6"], ["celery", "start"]),
        (["celery", "start", "-Q", "D"], ["celery", "start", "-Q", "D"]),
    ],
)
def test_what_runs_in_the_background_stays_there(words, attached):
    assert detaching.attached(words) == attached
