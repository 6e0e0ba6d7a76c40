"""Acks to RabbitMQ and Redis: after the results of their tasks are stored, and in the consumer's own loop."""

import threading
from types import SimpleNamespace
from weakref import WeakSet

import pytest
from celery import states
from celery.app.trace import build_tracer
from celery.worker import state
from celery.worker.consumer.consumer import Consumer as RealConsumer
from django.db import connections
from kombu.asynchronous import Hub, set_event_loop

from celeriac.results import storing
from celeriac.worker import finished, flushing, late_acks
from celeriac.worker.flusher import Flusher
from celeriac.worker.late_acks import LateAcks
from tests.broker import wait_until
from tests.results import make_app, results_in, row

PATIENCE_SECONDS = 30


class Consumer:
    """What Celery's consumer has of an ack: a loop, or none, and `call_soon`."""

    def __init__(self, hub=None):
        self.hub = hub
        self.pool = SimpleNamespace(num_processes=2)

    def call_soon(self, action, *args, **kwargs):
        action(*args, **kwargs)

    #: Celery >= 5.7.
    call_soon_ack = call_soon


class Message:
    """A message of an external broker; its ack looks at the task's row."""

    def __init__(self, alias):
        self.alias = alias
        self.found = []
        self.threads = []

    def ack_log_error(self, *_):
        self.threads.append(threading.current_thread().name)
        self.found.append(row(self.alias, "a").status)
        if threading.current_thread() is not threading.main_thread():
            connections[self.alias].close()


@pytest.fixture
def app(broker):
    with results_in(broker):
        yield make_app()


@pytest.fixture
def flusher(app, broker, tmp_path, monkeypatch):
    """Of a worker whose messages come from elsewhere."""
    finished.connect()
    storing.this_is_a_worker()
    made = Flusher(broker, None, tmp_path / "host-1")
    monkeypatch.setattr(flushing, "_flusher", made)
    monkeypatch.setattr(flushing, "_has_external_broker", True)
    yield made
    made.stop()
    storing.end()


@pytest.fixture
def hub():
    made = Hub()
    yield made
    made.close()
    set_event_loop(None)


@pytest.fixture
def started(broker):
    """Starts the step of a consumer: step, consumer and a message of it."""

    def start(hub=None):
        consumer = Consumer(hub)
        step = LateAcks(consumer)
        step.start(consumer)
        return step, consumer, Message(broker)

    return start


def run(app):
    def answer():
        return 3

    task = app.task(answer, name="shop.answer", shared=False)
    request = {"id": "a", "task": task.name, "is_eager": False, "delivery_info": {}, "hostname": "w@h"}
    build_tracer(task.name, task, app=app)("a", (), {}, request)


def test_an_ack_waits_for_its_result(app, flusher, started):
    _, consumer, message = started()
    run(app)

    consumer.call_soon(message.ack_log_error)
    assert message.found == []

    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)
    assert message.found == [states.SUCCESS]


def test_the_way_of_celery_5_7_waits_too(app, flusher, started):
    _, consumer, message = started()
    run(app)

    consumer.call_soon_ack(message.ack_log_error)
    assert message.found == []

    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)
    assert message.found == [states.SUCCESS]


def test_celery_knows_no_other_way():
    ways = {name for name in RealConsumer.create_task_handler.__code__.co_names if "call_soon" in name}

    assert ways
    assert ways <= set(late_acks._CALLS)


def test_it_is_called_in_the_loop(app, flusher, started, hub):
    step, consumer, message = started(hub)
    run(app)
    consumer.call_soon(message.ack_log_error)
    flusher.start()
    assert flusher.flush(PATIENCE_SECONDS)

    wait_until(lambda: hub.run_once() or message.found, "the loop comes to it")

    assert message.found == [states.SUCCESS]
    assert message.threads == [threading.current_thread().name]
    step.stop(consumer)


def test_a_connection_that_closes_gets_the_acks_before(app, flusher, started, hub):
    step, consumer, message = started(hub)
    run(app)
    consumer.call_soon(message.ack_log_error)
    flusher.start()

    step.stop(consumer)

    assert message.found == [states.SUCCESS]
    consumer.call_soon(message.ack_log_error)
    assert len(message.found) == 2, "what ends while the worker stops is stored, then acknowledged at once"


class Request:
    """What a worker has taken and has not ended."""


def test_a_connection_that_closes_waits_once_for_a_database_that_is_away(app, flusher, started, monkeypatch):
    now, waited = [100.0], []

    def flush(seconds):
        waited.append(seconds)
        now[0] += seconds
        return False

    step, consumer, message = started()
    run(app)
    monkeypatch.setattr(late_acks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(flusher, "flush", flush)
    monkeypatch.setattr(message, "ack_log_error", lambda: waited.append("ack"), raising=False)

    step.stop(consumer)
    for _ in range(2):
        consumer.call_soon(named(message))

    assert waited == [late_acks._CLOSING_SECONDS, 0.0, "ack", 0.0, "ack"]


def named(message):
    """What Celery hands over: it is known by its name."""

    def ack_log_error():
        message.ack_log_error()

    return ack_log_error


@pytest.mark.parametrize(("left", "is_at_once"), [(2, True), (3, False)])
def test_who_waits_for_acks_alone_does_not_wait_for_more_of_them(
    app, flusher, started, monkeypatch, left, is_at_once
):
    (_, consumer, message), asked = started(), []
    monkeypatch.setattr(flusher, "collect", lambda at_once=False: asked.append(at_once))
    held = [Request() for _ in range(left)]
    monkeypatch.setattr(state, "reserved_requests", WeakSet(held))

    consumer.call_soon(message.ack_log_error)

    assert (True in asked) is is_at_once


def test_what_is_no_ack_does_not_wait(app, flusher, started):
    (_, consumer, _), told = started(), []

    consumer.call_soon(told.append, "now")

    assert told == ["now"]


def test_with_messages_in_a_database_nothing_waits(app, flusher, started, monkeypatch):
    monkeypatch.setattr(flushing, "_has_external_broker", False)
    (_, consumer, _), told = started(), []

    consumer.call_soon(told.append, "now")

    assert "call_soon" not in vars(consumer)
    assert told == ["now"]
