"""Waking: a message costs one claim, however many consumers wait for it, and finds the next if need be."""

import os
import select
import time
from contextlib import ExitStack, closing, contextmanager
from types import SimpleNamespace

import pytest
from django.db import connections, transaction
from kombu import Consumer, Queue
from kombu.asynchronous import Hub, set_event_loop

from celeriac.broker.deliveries import Deliveries
from celeriac.broker.store import Store
from celeriac.broker.wakeup import bells, doorbell
from celeriac.broker.wakeup.listen import Listener
from tests.broker import DEADLINE_SECONDS, Stranger, connect, message, publish, rows

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")

CONSUMERS = 8


class Idler:
    """A consumer with a loop of its own, whose claims are counted; the slow poll is left out."""

    def __init__(self, alias, queue, prefetch):
        self.claims = 0
        self.delivered = []
        self.hub = Hub()
        self.connection = connect(alias)
        transport = self.connection.transport
        self.deliveries = transport.deliveries = Deliveries(alias)
        original = self.deliveries.claim

        def claim(queues, limit, **options):
            self.claims += 1
            return original(queues, limit, **options)

        self.deliveries.claim = claim
        self.consumer = Consumer(
            self.connection, [Queue(queue, routing_key=queue)], on_message=self.take, prefetch_count=prefetch
        )
        self.consumer.consume()
        self.connection.register_with_event_loop(self.hub)
        self.link = transport._hub_link
        self.link._timers[0].cancel()

    def take(self, message):
        self.delivered.append(message)

    def turn(self):
        """One turn of the loop, if anything is to be done; whether it was."""
        if not self.is_called():
            return False
        self.hub.run_once()
        return True

    def is_called(self):
        return bool(select.select([*self.hub.readers], [], [], 0)[0])

    def close(self):
        self.connection.close()
        self.deliveries.close()
        self.hub.close()
        set_event_loop(None)


@pytest.fixture
def idlers(broker):
    """Makes consumers that have looked once and wait."""
    with ExitStack() as stack:

        def make(count=CONSUMERS, queue="mails", prefetch=4):
            made = []
            for _ in range(count):
                made.append(Idler(broker, queue, prefetch))
                stack.callback(made[-1].close)
            settle(made)
            for each in made:
                each.claims = 0
            return made

        yield make


def settle(idlers):
    """Run all loops until none is called any more."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while [each for each in idlers if each.turn()]:
        assert time.monotonic() < deadline


def claims(idlers):
    return sum(each.claims for each in idlers)


def bodies(idlers):
    return sorted(each.payload for idler in idlers for each in idler.delivered)


def test_a_message_costs_one_claim_of_eight_idle_consumers(broker, idlers):
    waiting = idlers()

    publish(broker, "mails", "one")
    settle(waiting)

    assert (claims(waiting), bodies(waiting)) == (1, ["one"])


def test_messages_one_by_one_cost_a_claim_each_and_one_for_each_consumer_that_they_fill(broker, idlers):
    waiting = idlers()

    for body in "abcdef":
        publish(broker, "mails", body)
        settle(waiting)

    assert bodies(waiting) == list("abcdef")
    assert claims(waiting) <= 6 + 6 // 4


def test_a_message_of_another_queue_wakes_nobody(broker, idlers):
    waiting = idlers()

    publish(broker, "calls", "not for them")
    called = [each.is_called() for each in waiting]
    settle(waiting)

    assert (called, claims(waiting)) == ([False] * CONSUMERS, 0)
    assert rows(broker) == 1


def test_whoever_finds_more_than_it_has_room_for_wakes_the_next(broker, idlers):
    waiting = idlers(prefetch=2)

    store = Store(broker)
    with transaction.atomic(using=broker):
        for body in "abcdefghijk":
            store.publish("mails", message(body))
    settle(waiting)

    assert bodies(waiting) == list("abcdefghijk")
    assert [each.claims for each in waiting] == [1] * 6 + [0] * 2


def test_a_consumer_without_room_is_not_called(broker, idlers):
    [full] = idlers(1, prefetch=1)
    publish(broker, "mails", "held")
    settle([full])
    full.claims = 0

    publish(broker, "mails", "waiting")

    assert not full.is_called()
    assert not doorbell.ring(broker, "mails")
    full.delivered[0].ack()
    settle([full])
    assert bodies([full]) == ["held", "waiting"]


def test_what_is_committed_behind_a_claims_back_is_heard(broker, idlers):
    [busy] = idlers(1, prefetch=2)
    publish(broker, "mails", "one", "two")
    settle([busy])
    original = busy.deliveries.claim

    def claim(queues, limit, **options):
        claimed = original(queues, limit, **options)
        if not rows(broker, state=1):
            publish(broker, "mails", "behind its back")
            busy.deliveries.claim = original
        return claimed

    busy.deliveries.claim = claim
    busy.delivered[0].ack()
    settle([busy])

    assert bodies([busy]) == ["behind its back", "one", "two"]


def test_a_ring_that_was_not_heard_is_passed_on(broker, idlers):
    [full] = idlers(1, prefetch=1)
    publish(broker, "mails", "one")
    settle([full])
    original = full.deliveries.claim
    told = []

    def claim(queues, limit, **options):
        claimed = original(queues, limit, **options)
        assert doorbell.ring(broker, "mails")
        return claimed

    publish(broker, "mails", "two")
    full.deliveries.claim = claim
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bells, "pass_on", lambda _, queues: told.append(queues))
        full.delivered[0].ack()
        settle([full])

    assert told == [{"mails"}]


def test_a_cancelled_consumer_leaves_its_rings_to_the_next(broker, idlers):
    first, second = idlers(2)

    publish(broker, "mails", "one")
    first.consumer.cancel()
    settle([first])
    settle([second])

    assert bodies([second]) == ["one"]


def test_a_consumer_that_fails_leaves_its_ring_to_the_next(broker, idlers):
    from celeriac.broker.errors import BrokerConnectionLost

    first, second = idlers(2)

    def fail(*_, **__):
        raise BrokerConnectionLost("away")

    first.deliveries.claim = fail
    publish(broker, "mails", "one")
    first.turn()
    settle([second])

    assert bodies([second]) == ["one"]


def test_a_stopped_consumers_ring_is_found_by_the_slow_poll_of_another(broker, idlers):
    stopped, other = idlers(2)
    publish(broker, "mails", "one")
    for bell in stopped.link._ears._bells.values():
        assert bell.answer()

    other.link._on_tick()

    assert bodies([other]) == ["one"]


def test_a_bell_that_lost_its_name_is_made_anew(broker, idlers):
    [waiting] = idlers(1)
    for bell in waiting.link._ears._bells.values():
        bell._path.unlink()

    waiting.link._on_tick()
    publish(broker, "mails", "one")
    settle([waiting])

    assert bodies([waiting]) == ["one"]


def test_a_child_of_a_fork_does_not_pass_for_an_idle_consumer(broker):
    bell = doorbell.listen_at(broker, "mails")
    reading, writing = os.pipe()
    started, starting = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.write(starting, b"!")
        os.read(reading, 1)
        os._exit(0)
    try:
        os.read(started, 1)
        bell.close()
        assert not doorbell.ring(broker, "mails")
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        for fd in (reading, started, starting):
            os.close(fd)


@contextmanager
def hosts_listener(alias, heard):
    listener = Listener(alias, heard.append)
    listener.listen_for_host()
    try:
        yield listener
    finally:
        listener.close()


@pytest.fixture
def far(databases):
    """PostgreSQL, where a publisher finds no idle consumer on its host."""
    from tests.broker import process_of_its_own
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get("postgresql")) as alias, process_of_its_own():
        bells._last.clear()
        yield alias


def until(condition):
    from tests.broker import wait_until

    wait_until(condition, "the notification arrives")


def is_listening(alias):
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%%' AND state = 'idle'"
        )
        return cursor.fetchone()[0]


def test_one_worker_of_a_host_listens_and_another_follows(far):
    first, second = [], []
    with hosts_listener(far, second) as waiting:
        with hosts_listener(far, first) as other:
            assert waiting._thread is not None
            assert other._thread is None
        until(lambda: is_listening(far) == 1)
    with hosts_listener(far, first):
        until(lambda: is_listening(far) == 1)
        publish(far, "mails", "one")
        until(lambda: first == ["mails"])


def test_a_burst_is_told_of_once_and_looked_at_again(far, monkeypatch):
    heard = []
    # Time stands still for the publisher: all of it is one burst.
    monkeypatch.setattr(bells, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    with hosts_listener(far, heard):
        until(lambda: is_listening(far) == 1)
        for body in "abcdef":
            publish(far, "mails", body)
        publish(far, "calls", "the end")
        # The first message, the burst, and the look at what was left out of it.
        until(lambda: sorted(heard) == ["calls", "mails", "mails", "mails"])


def test_an_idle_consumer_on_the_host_spares_the_notification(far):
    heard = []
    bell = doorbell.listen_at(far, "mails")
    try:
        with hosts_listener(far, heard):
            until(lambda: is_listening(far) == 1)
            publish(far, "mails", "near")
            publish(far, "calls", "far")
            until(lambda: heard)
    finally:
        bell.close()
    assert heard == ["calls"]


def test_a_claim_alone_does_not_wait_for_the_disk_and_acks_do(far, monkeypatch):
    owner = Stranger(far)
    publish(far, "mails", "one", "two", "three")

    def claim(connection, queries):
        assert len(queries.claim(connection, ["mails"], 1, owner.worker, 1)) == 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('synchronous_commit')")
            return cursor.fetchone()[0]

    with closing(owner):
        with_acks = owner.session.run(claim)
        afterwards = owner.session.run(claim, atomic=False)
        monkeypatch.setattr("celeriac.broker.queries.postgresql._is_alone", lambda _: True)
        alone = owner.session.run(claim)

    assert (with_acks, alone, afterwards) == ("on", "off", "on")


def test_a_transaction_tells_of_each_of_its_queues_once(far, monkeypatch):
    told = []
    monkeypatch.setattr(bells, "ring", lambda _, queues: told.append(sorted(queues)))
    store = Store(far)
    with transaction.atomic(using=far):
        for queue in ("mails", "calls", "mails", "calls"):
            store.publish(queue, message())

    assert told[0] == ["calls", "mails"]
    assert [queue for each in told[1:] for queue in each] == []
