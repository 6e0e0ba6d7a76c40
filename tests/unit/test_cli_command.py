"""A command of ours: its help, its options, and what is said of a slip."""

from datetime import UTC, datetime

import pytest
from celery import Celery
from django.db import OperationalError

from celeriac.cli import output
from celeriac.cli.command import Command
from celeriac.errors import CeleriacError, TablesMissing

APP = Celery("cli", set_as_current=False)


def _work(app, options):
    output.document({"queue": options.queue, "json": options.json})
    return 69


def _arguments(parser):
    parser.add_argument("--queue", help="of which queue")


COMMAND = Command("probe", "Looks.", "probe --queue mails", _work, _arguments)


def test_the_words_are_options_and_the_exit_code_is_the_commands(capsys):
    assert COMMAND.run(APP, ["--queue", "mails", "--json"]) == 69

    assert capsys.readouterr().out == '{\n  "queue": "mails",\n  "json": true\n}\n'


def test_help_has_every_option_and_an_example(capsys):
    assert COMMAND.run(APP, ["--queue", "mails", "-h"]) == 0

    said = capsys.readouterr().out
    assert "manage.py celery probe" in said
    assert "--queue QUEUE  of which queue" in said
    assert "--json" in said
    assert said.endswith("Example: python manage.py celery probe --queue mails\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--quue", "x"], "no option '--quue'; did you mean --queue?"),
        (["--queue"], "argument --queue: expected one argument"),
        (["--que", "x"], "no option '--que'"),
        (["mails"], "nothing is expected at 'mails'"),
    ],
)
def test_a_slip_is_one_line_that_helps(words, said):
    with pytest.raises(CeleriacError) as error:
        COMMAND.run(APP, words)

    assert str(error.value).startswith(f"probe: {said}")
    assert str(error.value).endswith("Its options: manage.py celery probe --help")
    assert "\n" not in str(error.value)


def test_a_missing_table_is_explained():
    def work(app, options):
        raise OperationalError("no such table: celeriac_message")

    with pytest.raises(TablesMissing, match="migrate"):
        Command("probe", "", "probe", work).run(APP, [])


def test_times_in_json_are_utc(capsys, settings_with_zone):
    output.document([datetime(2026, 1, 2, 3, 4, tzinfo=UTC), datetime(2026, 1, 2, 3, 4)])  # noqa: DTZ001 - as without USE_TZ

    assert capsys.readouterr().out == '[\n  "2026-01-02T03:04:00+00:00",\n  "2026-01-02T02:04:00+00:00"\n]\n'


@pytest.fixture
def settings_with_zone():
    from django.test import override_settings

    with override_settings(TIME_ZONE="Europe/Berlin"):
        yield


@pytest.mark.parametrize(("is_given", "may"), [(True, True), (False, False)])
def test_in_a_pipe_only_yes_confirms(capsys, is_given, may):
    assert output.is_confirmed("Retry 3 tasks?", is_given=is_given) is may

    said = capsys.readouterr().err
    assert said == ("" if is_given else "Retry 3 tasks? Nothing is done without --yes.\n")


def test_there_is_no_bar_in_a_pipe(capsys):
    with output.progress("retried", 3) as show:
        show(2)

    assert capsys.readouterr().err == ""
