"""The log for people: a line for each task."""

import logging
import re
import sys
from pathlib import Path

import pytest
from celery import Celery
from django.test import override_settings

from celeriac.cli import task_log

ID = "8f3a6c1e-0000-4000-8000-000000000000"


def shown(level: int, text: str, *, name: str = "celery.app.trace", exc_info=None, **task) -> str:
    record = logging.LogRecord(name, level, "", 0, text, (), exc_info)
    if task:
        record.data = {"id": ID, "name": "mail.send", **task}
    line = task_log.Lines().format(record)
    assert re.match(r"\d\d:\d\d:\d\d  ", line)
    return line[10:]


def test_a_success_is_its_name_and_its_time():
    line = shown(logging.INFO, "…", runtime=0.2123, return_value="'a secret'")

    assert line == "✓ mail.send                 #8f3a6c1e  ran 212 ms"


def test_a_failure_is_its_error_its_place_and_the_way_to_more():
    try:
        raise ValueError("no\nrows")
    except ValueError:
        info = sys.exc_info()
    traceback = 'File "/x/shop/tasks.py", line 7, in a\nFile "/x/site-packages/y.py", line 1, in b'
    task_log._before_task(ID)

    line = shown(logging.ERROR, "…", exc_info=info, exc="ValueError()", traceback=traceback)

    assert re.fullmatch(
        r"✗ mail\.send +#8f3a6c1e  ran \d ms +ValueError: no rows \(tasks\.py:7\)"
        r"  → manage\.py celery tasks show 8f3a6c1e",
        line,
    )


def test_a_retry_is_at_the_line_of_the_task_that_asks_for_it():
    ours = Path(task_log.__file__).parents[1] / "worker" / "retried.py"
    traceback = f'File "/x/shop/tasks.py", line 7, in a\nFile "{ours}", line 30, in retried'

    line = shown(logging.ERROR, "…", exc="ValueError()", traceback=traceback)

    assert "(tasks.py:7)" in line


def test_nothing_in_a_traceback_or_in_a_text_of_celerys_moves_the_cursor():
    error = 'File "/x/\x1b[2J\nhidden", line 9'
    traceback = f'File "/x/shop/tasks.py", line 7, in a\nValueError: {error}'

    line = shown(logging.ERROR, "…", exc=f"ValueError('{error}')", traceback=traceback)
    assert line.isprintable(), line
    assert "(tasks.py:7)" in line
    for name in ("celery.worker.consumer.consumer", "celeriac.schedule.scheduler"):
        assert shown(logging.INFO, "task \x1b]0;x\x07\n\tof", name=name) == "  task ]0;x\n\tof"
    assert shown(logging.INFO, "\x1b[1mbold", name="shop.tasks") == "  \x1b[1mbold"


def test_a_retry_says_when():
    assert shown(logging.INFO, "…", exc="Retry in 3s: ValueError()").endswith("Retry in 3s: ValueError()")


def test_other_records_are_what_they_say():
    assert shown(logging.INFO, "hello", name="shop.tasks") == "  hello"


@pytest.mark.parametrize(
    ("name", "level", "is_shown"),
    [
        ("celery.worker.strategy", logging.INFO, False),
        ("celery.worker.consumer.mingle", logging.INFO, False),
        ("celery.worker.consumer.consumer", logging.ERROR, True),
        ("celery.app.trace", logging.INFO, True),
        ("shop", logging.DEBUG, True),
    ],
)
def test_what_a_worker_says_of_itself_is_left_out(name, level, is_shown):
    assert task_log._is_shown(logging.LogRecord(name, level, "", 0, "", (), None)) is is_shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "0 ms"), (0.212, "212 ms"), (1.31, "1.3 s"), (125, "2 m 5 s")]
)
def test_a_duration_has_the_unit_that_people_use(seconds, text):
    assert task_log.shown_seconds(seconds) == text


@pytest.mark.parametrize(
    ("debug", "is_terminal", "options", "log_format", "wanted"),
    [
        (True, True, [], None, True),
        (False, True, [], None, False),
        (True, False, [], None, False),
        (True, True, ["-l", "info"], None, False),
        (True, True, ["--logfile=x"], None, False),
        (True, True, [], "%(message)s", False),
    ],
)
def test_the_log_stays_celerys_wherever_somebody_has_chosen(
    monkeypatch, debug, is_terminal, options, log_format, wanted
):
    monkeypatch.setattr(task_log.output, "is_terminal", lambda: is_terminal)
    app = Celery("log", set_as_current=False)
    if log_format:
        app.conf.worker_log_format = log_format

    with override_settings(DEBUG=debug):
        assert task_log.is_wanted(app, options) is wanted
