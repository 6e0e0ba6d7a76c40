"""The writer of a worker's main process: in order, never raising, and ended when it is stopped."""

import logging
import os
import threading

import pytest
from celery import states
from django.db import OperationalError

from celeriac.results import retry, tables, writer
from celeriac.results.writer import Writer
from tests.results import mark


@pytest.fixture
def stored(monkeypatch):
    """The batches of marks that were stored, without a database."""
    batches = []
    monkeypatch.setattr(
        writer, "_store_marks", lambda marks: batches.append([item.task_id for item in marks])
    )
    return batches


@pytest.fixture
def make():
    made = []

    def start(**given):
        made.append(Writer(**given))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.stop()


class Gate:
    """An operation that holds the writer's thread until the test opens it."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self):
        self.entered.set()
        assert self.opened.wait(30)


def hold(target):
    gate = Gate()
    target.submit(gate)
    assert gate.entered.wait(30)
    return gate


def received(name):
    return mark(name, states.RECEIVED)


def busy():
    error = OperationalError("busy")
    error.__cause__ = Exception(1213, "deadlock")
    return error


def test_marks_that_wait_are_stored_together(make, stored):
    target = make()
    gate = hold(target)

    for name in "abc":
        target.submit(received(name))
    gate.opened.set()

    assert target.flush(30)
    assert stored == [["a", "b", "c"]]


def test_what_is_submitted_is_stored_in_order(make, stored):
    target = make()
    gate = hold(target)

    target.submit(received("a"))
    target.submit(lambda: stored.append("failure of a"))
    target.submit(received("b"))
    gate.opened.set()

    assert target.flush(30)
    assert stored == [["a"], "failure of a", ["b"]]


def test_a_batch_has_an_end(make, stored):
    target = make()
    gate = hold(target)

    for number in range(tables.MOST_ROWS + 1):
        target.submit(received(str(number)))
    gate.opened.set()

    assert target.flush(30)
    assert [len(batch) for batch in stored] == [tables.MOST_ROWS, 1]


def test_a_busy_database_is_tried_until_it_is_free(make, monkeypatch):
    monkeypatch.setattr(retry, "pause", lambda _: None)
    tries = []

    def operation():
        tries.append(1)
        if len(tries) < 50:
            raise busy()

    target = make()
    target.submit(operation)

    assert target.flush(30)
    assert len(tries) == 50


@pytest.mark.parametrize("error", [OperationalError("disk full"), ValueError("of an errback")])
def test_an_error_is_logged_and_the_next_operation_is_done(make, caplog, error):
    def fail():
        raise error

    target, done = make(), []
    with caplog.at_level(logging.ERROR):
        target.submit(fail)
        target.submit(lambda: done.append(1))
        assert target.flush(30)

    assert done
    assert str(error) in caplog.text


def test_marks_are_left_out_when_too_much_waits(make, stored, caplog):
    target = make(most_waiting=2)
    gate = hold(target)

    with caplog.at_level(logging.ERROR):
        for name in "abcd":
            target.submit(received(name))
    gate.opened.set()

    assert target.flush(30)
    assert stored == [["a", "b"]]
    assert caplog.text.count("left out") == 1


def test_an_end_state_takes_the_place_of_marks(make, stored):
    target = make(most_waiting=2, full_seconds=30)
    gate = hold(target)

    target.submit(received("a"))
    target.submit(received("b"))
    target.submit(lambda: stored.append("end"))
    gate.opened.set()

    assert target.flush(30)
    assert stored == ["end"]


def test_an_end_state_is_kept_although_the_queue_is_full(make, stored):
    target = make(most_waiting=1, full_seconds=0.01)
    gate = hold(target)

    target.submit(lambda: stored.append("first"))
    target.submit(lambda: stored.append("second"))
    gate.opened.set()

    assert target.flush(30)
    assert stored == ["first", "second"]


def test_flush_tells_when_it_takes_too_long(make):
    target = make()
    gate = hold(target)

    assert not target.flush(0.01)

    gate.opened.set()
    assert target.flush(30)


def test_stop_stores_what_waits(make, stored):
    target = make()
    gate = hold(target)
    target.submit(received("a"))

    stopping = threading.Thread(target=target.stop)
    stopping.start()
    gate.opened.set()
    stopping.join(30)

    assert stored == [["a"]]
    assert not target.is_running()


def test_stop_gives_up_when_its_time_is_over(make, monkeypatch, caplog):
    monkeypatch.setattr(retry, "pause", lambda _: None)

    def fail():
        raise busy()

    target = make()
    with caplog.at_level(logging.ERROR):
        target.submit(fail)
        target.stop(timeout=0.01)

    assert not target.is_running()
    assert "a state is lost" in caplog.text


def test_stop_may_be_called_twice_and_before_start(make):
    target = make()
    target.stop()
    target.stop()

    Writer().stop()


def test_the_writer_of_the_process_is_one_and_ends():
    try:
        first = writer.start()
        assert writer.start() is first
        assert writer.running() is first
        assert writer.for_this_thread() is first
    finally:
        writer.stop()
    writer.stop()

    assert writer.running() is None
    assert writer.for_this_thread() is None


def test_the_writers_own_thread_stores_by_itself():
    try:
        seen = []
        running = writer.start()
        running.submit(lambda: seen.append(writer.for_this_thread()))
        assert running.flush(30)
    finally:
        writer.stop()

    assert seen == [None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork.")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_stores_by_itself():
    try:
        writer.start()
        child = os.fork()
        if child == 0:
            os._exit(0 if writer.for_this_thread() is None else 1)
        _, status = os.waitpid(child, 0)
    finally:
        writer.stop()

    assert os.waitstatus_to_exitcode(status) == 0
