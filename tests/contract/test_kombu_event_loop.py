"""kombu's published behaviours of a transport, 30 of 30: the event loop.

| n  | kombu's class and test                  | test here |
|----|-----------------------------------------|---|
| 30 | BaseEventLoop.ack_from_another_thread   | an_ack_that_another_thread_asks_for_brings_the_next_message |
"""

import os
import threading
import time
from collections import defaultdict
from types import SimpleNamespace

import pytest
from django.db import connections
from kombu import Consumer, Producer, Queue
from kombu.asynchronous import Hub, set_event_loop
from kombu.utils.limits import TokenBucket

from celeriac.broker.claims import Noted
from celeriac.broker.errors import BrokerConnectionLost
from celeriac.models import MessageState
from celeriac.worker.rate_limits import RateLimits
from tests.broker import DEADLINE_SECONDS, publish, rows

QUEUE = Queue("loop", routing_key="loop")


@pytest.fixture
def hub(connection):
    made = Hub()
    yield made
    connection.close()
    made.close()
    set_event_loop(None)


@pytest.fixture
def link(connection, hub):
    """The transport's place in the loop, with a consumer, after its first look for due messages."""
    held = []
    with Consumer(connection, [QUEUE], on_message=held.append, prefetch_count=8):
        connection.register_with_event_loop(hub)
        made = connection.transport._hub_link
        made.held = held
        run_until(hub, lambda: made._promoted_at > 0)
        yield made


def fail():
    raise BrokerConnectionLost("away")


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
        if fd == link._pipe.reader:
            link.nudge()
        return read(fd, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", nudged_before)
        link._pipe.hear()
    link._claim_and_deliver = lambda *_, **__: polls.append(1)

    link.nudge()

    assert run_until(hub, lambda: polls) < 0.9


class Flusher:
    """What the flusher is for the loop: somebody who writes acks, and may be at it."""

    def __init__(self, deliveries):
        deliveries.collect_acks = self.collect
        deliveries.are_limited = lambda: False
        self._deliveries = deliveries
        self.is_told = 0

    def collect(self, at_once=False):
        self.is_told += 1

    def write(self):
        """As its thread does."""
        noted = Noted((), False, True)
        self._deliveries.exchange(lambda: noted, lambda _: None)


def test_room_for_one_is_not_worth_a_look_while_others_wait_in_the_worker(connection, hub, broker):
    deliveries = connection.transport.deliveries
    flusher, held, deliveries.slots = Flusher(deliveries), [], 2
    publish(broker, "loop", *map(str, range(20)))

    with Consumer(connection, [QUEUE], on_message=held.append, prefetch_count=8):
        connection.register_with_event_loop(hub)
        run_until(hub, lambda: len(held) == 8)

        looks = []
        for message in held[:3]:
            message.ack()
            looks.append(connection.transport.is_worth_a_look())
        flusher.write()
        run_until(hub, lambda: len(held) == 11)

    assert looks == [False, False, True], "half of the six that may wait beside the two that run"
    assert flusher.is_told >= 3, "each ack is written soon nevertheless"


def test_without_others_that_wait_each_free_slot_is_worth_a_look(connection, hub, broker):
    deliveries = connection.transport.deliveries
    Flusher(deliveries)
    held, deliveries.slots = [], 4
    publish(broker, "loop", *"abcdef")

    with Consumer(connection, [QUEUE], on_message=held.append, prefetch_count=4):
        connection.register_with_event_loop(hub)
        run_until(hub, lambda: len(held) == 4)

        held[0].ack()

        assert connection.transport.is_worth_a_look()


def test_a_free_slot_is_worth_a_look_where_those_that_wait_may_not_begin(connection, hub, broker):
    deliveries, limited = connection.transport.deliveries, []
    Flusher(deliveries)
    held, deliveries.slots, deliveries.are_limited = [], 2, lambda: bool(limited)
    publish(broker, "loop", *map(str, range(20)))

    with Consumer(connection, [QUEUE], on_message=held.append, prefetch_count=8):
        connection.register_with_event_loop(hub)
        run_until(hub, lambda: len(held) == 8)
        held[0].ack()
        assert not connection.transport.is_worth_a_look()

        limited.append("for a rate limit")

        assert connection.transport.is_worth_a_look()


def test_what_was_left_to_the_next_turn_is_not_done_after_the_last_one(link, hub, broker):
    publish(broker, "loop", "late")
    # Something is to be written to the pool.
    hub.consolidate.add(-1)
    link._pipe.hear()

    hub.reset()

    assert link.held == []
    assert rows(broker, state=MessageState.READY) == 1


def test_a_look_that_is_left_for_later_does_not_end_an_outage(link, connection, caplog):
    link._outage.guard(fail)()
    link._outage._again_at = 0.0
    connection.transport.deliveries.claims.is_exchanging = True

    link._promote()

    assert "is back" not in caplog.text


def test_a_look_that_fails_behind_a_claim_does_not_end_an_outage(link, connection, monkeypatch, caplog):
    monkeypatch.setattr(connection.transport, "promote_due", fail)
    pauses = []
    for _ in range(3):
        link._outage._again_at, link._promoted_at = 0.0, 0.0
        link._poll()
        pauses.append(link._outage._pause)

    assert pauses == [0.2, 0.4, 0.8], "ever longer"
    assert "is back" not in caplog.text


def test_tasks_that_wait_for_their_eta_do_not_make_room_look_small(connection, hub, broker):
    deliveries = connection.transport.deliveries
    Flusher(deliveries)
    held, deliveries.slots = [], 2
    publish(broker, "loop", *map(str, range(60)))

    with Consumer(connection, [QUEUE], on_message=held.append, prefetch_count=4) as consumer:
        connection.register_with_event_loop(hub)
        run_until(hub, lambda: len(held) == 4)
        # As Celery does for each task with an ETA that it holds: forty of them, and four others.
        consumer.qos(prefetch_count=44)
        hub.call_soon(connection.transport.on_consume)
        run_until(hub, lambda: len(held) == 44)

        held[0].ack()

        assert connection.transport.is_worth_a_look()


def test_a_worker_with_rate_limits_says_so(connection):
    consumer = SimpleNamespace(connection=connection, task_buckets=defaultdict(lambda: None))
    RateLimits(consumer).start(consumer)
    are_limited = connection.transport.deliveries.are_limited
    assert consumer.task_buckets["shop.pay"] is None
    assert not are_limited()

    consumer.task_buckets["shop.send"] = TokenBucket(1)

    assert are_limited()


def test_the_loop_does_not_wait_for_a_commit_to_look_for_due_messages(connection, hub, broker, monkeypatch):
    claims = connection.transport.deliveries.claims
    looks, promote = [], connection.transport.promote_due

    def noted_promote():
        looks.append(claims.is_exchanging)
        return promote()

    monkeypatch.setattr(connection.transport, "promote_due", noted_promote)
    with Consumer(connection, [QUEUE], on_message=lambda _: None):
        connection.register_with_event_loop(hub)
        run_until(hub, lambda: looks)
        looks.clear()
        claims.is_exchanging = True
        ticks = []
        hub.call_later(1.2, ticks.append, "over")
        run_until(hub, lambda: ticks)
        assert looks == [], "the slow poll came by, and left it for later"

        claims.is_exchanging = False
        run_until(hub, lambda: looks)


@pytest.mark.parametrize("alias", ["sqlite"], indirect=True)
def test_what_is_declared_before_the_loop_turns_waits_for_a_lock(broker, connection, hub):
    """A worker that starts beside a busy publisher must not end with "database is locked"."""
    connection.register_with_event_loop(hub)
    other = connections.create_connection(broker)
    other.inc_thread_sharing()
    other.ensure_connection()
    with other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
    # Longer than SQLite itself waits for its lock.
    release = threading.Timer(0.5, other.close)
    release.start()
    try:
        QUEUE(connection.default_channel).declare()
    finally:
        release.join()

    assert connection.default_channel.queue_declare("loop", passive=True).queue == "loop"
