"""kombu's published behaviours of a transport, 30 of 30: the event loop.

| n  | kombu's class and test                  | test here |
|----|-----------------------------------------|---|
| 30 | BaseEventLoop.ack_from_another_thread   | an_ack_that_another_thread_asks_for_brings_the_next_message |
"""

import os
import threading
import time

import pytest
from kombu import Consumer, Producer, Queue
from kombu.asynchronous import Hub, set_event_loop

from tests.broker import DEADLINE_SECONDS, publish, rows

QUEUE = Queue("loop", routing_key="loop")


@pytest.fixture
def hub(connection):
    made = Hub()
    yield made
    connection.close()
    made.close()
    set_event_loop(None)


def run_until(hub, condition):
    """Run the loop until the condition holds; how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < DEADLINE_SECONDS
        hub.run_once()
    return time.monotonic() - started


def test_an_ack_that_another_thread_asks_for_brings_the_next_message(connection, hub, broker):
    acked = []
    for body in range(2):
        with connection.channel() as channel:
            Producer(channel).publish(body, routing_key="loop", declare=[QUEUE])

    def ack(message):
        message.ack()
        acked.append(message.payload)

    def deliver(message):
        threading.Timer(0.05, hub.call_soon, (ack, message)).start()

    with Consumer(connection, [QUEUE], on_message=deliver, prefetch_count=1):
        connection.register_with_event_loop(hub)
        seconds = run_until(hub, lambda: len(acked) == 2)
        run_until(hub, lambda: rows(broker) == 0)

    assert acked == [0, 1]
    # The loop's own longest sleep is 1 s: it was woken.
    assert seconds < 0.9


def test_an_ack_on_another_thread_brings_the_next_message(connection, hub, broker):
    acked = []
    publish(broker, "loop", "one", "two", "three")

    def ack(message):
        message.ack()
        acked.append(message.payload)

    def deliver(message):
        threading.Timer(0.05, ack, (message,)).start()

    with Consumer(connection, [QUEUE], on_message=deliver, prefetch_count=1):
        connection.register_with_event_loop(hub)
        seconds = run_until(hub, lambda: len(acked) == 3)
        run_until(hub, lambda: rows(broker) == 0)

    assert acked == ["one", "two", "three"]
    assert seconds < 0.9


def test_a_commit_wakes_the_loop(connection, hub, broker):
    delivered = []

    with Consumer(connection, [QUEUE], on_message=delivered.append):
        connection.register_with_event_loop(hub)
        hub.call_later(0.05, publish, broker, "loop", "now")
        seconds = run_until(hub, lambda: delivered)

    # Well before the slow poll, which comes after 1 s.
    assert seconds < 0.9


def test_a_second_registration_replaces_the_first(connection, hub, broker):
    delivered = []
    with Consumer(connection, [QUEUE], on_message=delivered.append):
        connection.register_with_event_loop(hub)
        readers = len(hub.readers)

        connection.register_with_event_loop(hub)

        assert len(hub.readers) == readers
        publish(broker, "loop", "once")
        run_until(hub, lambda: delivered)
    assert [message.payload for message in delivered] == ["once"]


def test_a_closed_connection_leaves_nothing_in_the_loop(connection, hub):
    readers = len(hub.readers)
    connection.connect()
    connection.register_with_event_loop(hub)

    connection.close()

    assert len(hub.readers) == readers
    assert all(entry.canceled for *_, entry in hub.timer._queue)


def test_a_nudge_of_another_thread_during_a_nudge_is_not_lost(connection, hub, monkeypatch):
    connection.connect()
    connection.register_with_event_loop(hub)
    link = connection.transport._hub_link
    read, polls = os.read, []

    def nudged_before(fd, size):
        if fd == link._self_pipe[0]:
            link.nudge()
        return read(fd, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", nudged_before)
        link._on_nudge()
    link._claim_and_deliver = lambda *_, **__: polls.append(1)

    link.nudge()

    assert run_until(hub, lambda: polls) < 0.9
