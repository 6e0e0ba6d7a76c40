"""A command of ours: its help, its options, and what is said of a slip."""

import io
import json
import os
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


def test_a_word_that_is_none_of_those_expected_is_one_line():
    def arguments(parser):
        parser.add_argument("action", choices=("list", "pause"))

    command = Command("probe", "", "probe list", _work, arguments)

    with pytest.raises(CeleriacError, match=r"^probe: there is no 'pase'; did you mean pause\? Its options"):
        command.run(APP, ["pase"])
    with pytest.raises(CeleriacError, match=r"^probe: there is no 'x'; there are list, pause\. Its options"):
        command.run(APP, ["x"])


@pytest.mark.parametrize("query", ["-queue:slow", "-type:mail.* state:failed"])
def test_a_query_may_begin_with_a_minus(capsys, query):
    def arguments(parser):
        parser.add_argument("--query")
        parser.add_argument("--terminate", "-t", action="store_true")

    def work(app, options):
        output.document([options.query, options.terminate])
        return 0

    command = Command("probe", "", "probe", work, arguments)

    assert command.run(APP, ["--query", query]) == 0
    assert json.loads(capsys.readouterr().out) == [query, False]


def test_whoever_reads_may_have_had_enough(monkeypatch):
    """`celery tasks | head -1`."""
    ours, theirs = os.pipe()
    os.close(ours)
    pipe = os.fdopen(theirs, "w")
    monkeypatch.setattr("sys.stdout", pipe)

    assert COMMAND.run(APP, []) == 141
    pipe.write("the interpreter flushes at its end")
    pipe.close()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_an_output_cannot_say_is_escaped(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr("sys.stdout", stream)

    output.document({"name": "Łódź \udc80"})
    output.line("Łódź")

    text = stream.detach().getvalue().decode(encoding)
    assert json.loads(text[: text.index("}") + 1]) == {"name": "Łódź \udc80"}
    assert text.endswith("\nŁódź\n" if encoding == "utf-8" else "\n\\u0141ód\\u017a\n")


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
