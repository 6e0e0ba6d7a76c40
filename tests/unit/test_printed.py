"""What tasks print is logged by the line, where the log is for people."""

import logging
import threading

import pytest
from celery import Celery
from celery.app import log

from celeriac.cli import printed


@pytest.fixture
def stdout(caplog, monkeypatch):
    """Celery's redirection as the log for people makes it."""
    monkeypatch.setattr(log, "LoggingProxy", log.LoggingProxy)
    printed.install()
    logger = logging.getLogger("printed")
    with caplog.at_level(logging.WARNING, "printed"):
        app = Celery(set_as_current=False)
        yield app.log.redirect_stdouts_to_logger(logger, "WARNING", stdout=False, stderr=False)


def test_a_print_of_several_things_is_one_line(stdout, caplog):
    print("a", 1, file=stdout)
    print(file=stdout)
    print("two\nlines", "\n", file=stdout)
    stdout.writelines(["b", "c\n"])

    assert caplog.messages == ["a 1", "two", "lines ", "bc"]


def test_what_has_no_end_is_seen_when_it_is_flushed_or_its_task_ends(stdout, caplog):
    print("…", end="", flush=True, file=stdout)
    stdout.flush()

    @Celery(set_as_current=False).task(name="prints")
    def prints():
        print("half", end="", file=stdout)

    assert caplog.messages == ["…"]

    prints.apply()

    assert caplog.messages == ["…", "half"]


def test_threads_do_not_print_into_each_others_lines(stdout, caplog):
    print("mine", end=" ", file=stdout)
    other = threading.Thread(target=print, args=("other", 1), kwargs={"file": stdout})
    other.start()
    other.join()
    print("too", file=stdout)

    assert caplog.messages == ["other 1", "mine too"]


def test_a_log_that_prints_does_not_log_itself(stdout, caplog, monkeypatch):
    monkeypatch.setattr(caplog.handler, "format", lambda record: print(record.msg, file=stdout) or "")

    print("a", 1, file=stdout)

    assert [record.msg for record in caplog.records] == ["a 1"]
