"""Transient queues, of remote control, its replies and events: a copy to each, gone with their reader."""

from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import transaction
from kombu import Exchange, Producer, Queue
from kombu.pidbox import Mailbox
from kombu.utils.json import dumps

from celeriac.broker import clock
from celeriac.broker.locks import SessionLock
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.models import Binding, Broadcast, DeadLetter
from celeriac.models import Queue as QueueRow
from tests.broker import in_threads, message, rows, wait_past

NEWS = Exchange("news", type="fanout")
LASTING = Queue("archive", exchange=NEWS)


def transient(name, seconds=60.0, exchange=NEWS, **options):
    return Queue(name, exchange=exchange, expires=seconds, auto_delete=True, durable=False, **options)


@pytest.fixture
def sweep(broker):
    """What each worker does four times a minute."""
    session = BrokerSession(broker)
    yield Reaper(session, SessionLock(session), "here").sweep
    session.close()


def tell(connection, body="news", exchange=NEWS, **options):
    with connection.channel() as channel:
        Producer(channel, exchange=exchange, auto_declare=False).publish(body, **options)


def waiting(alias):
    return sorted(Broadcast.objects.using(alias).values_list("queue", flat=True))


def drained(connection, *queues):
    """The bodies that a reader of these queues is given."""
    given = []
    with connection.Consumer(list(queues), on_message=given.append, no_ack=True):
        try:
            while True:
                connection.drain_events(timeout=0.02)
        except TimeoutError:
            return [message.payload for message in given]


def test_a_fanout_reaches_transient_and_lasting_queues(connection, elsewhere, broker):
    for queue in (transient("one"), transient("two"), LASTING):
        queue(connection.default_channel).declare()

    tell(elsewhere)

    assert waiting(broker) == ["one", "two"]
    assert rows(broker, queue="archive") == 1
    assert [drained(connection, queue) for queue in (transient("one"), transient("two"), LASTING)] == [
        ["news"]
    ] * 3
    assert (waiting(broker), rows(broker)) == ([], 0)


def test_a_transient_queue_is_no_row_of_the_lasting_ones(connection, broker):
    transient("one")(connection.default_channel).declare()

    assert not QueueRow.objects.using(broker).exists()


def test_what_is_told_in_a_rolled_back_transaction_was_never_told(connection, broker):
    transient("one")(connection.default_channel).declare()

    with transaction.atomic(using=broker):
        tell(connection)
        transaction.set_rollback(True, using=broker)

    assert waiting(broker) == []


def test_a_queue_bound_a_moment_ago_gets_what_is_told(connection, elsewhere, broker):
    transient("one")(connection.default_channel).declare()
    tell(elsewhere)

    transient("two")(connection.default_channel).declare()
    tell(elsewhere)

    assert waiting(broker) == ["one", "one", "two"]


def test_a_transient_queue_gets_nothing_once_it_has_expired(connection, elsewhere, broker):
    transient("one", seconds=0.02)(connection.default_channel).declare()
    wait_past(Binding.objects.using(broker).exclude(exchange="").get().expires_at)

    tell(elsewhere)

    assert waiting(broker) == []


def test_what_has_expired_is_swept(connection, elsewhere, broker, sweep):
    transient("short", seconds=0.02)(connection.default_channel).declare()
    tell(elsewhere, expiration=0.01)
    transient("long")(connection.default_channel).declare()
    tell(elsewhere)
    wait_past(clock.now() + clock.seconds(0.02))

    sweep()

    assert list(Binding.objects.using(broker).exclude(exchange="").values_list("queue", flat=True)) == [
        "long"
    ]
    assert "long" in waiting(broker)
    assert Broadcast.objects.using(broker).filter(expires_at__lte=clock.now()).count() == 0
    assert not DeadLetter.objects.using(broker).exists()


def test_a_queue_that_is_read_does_not_expire(connection, elsewhere, broker):
    queue = transient("one", seconds=0.2)
    with connection.Consumer([queue], on_message=print):
        before = Binding.objects.using(broker).exclude(exchange="").get().expires_at

        connection.transport.renew_bindings()

        assert Binding.objects.using(broker).exclude(exchange="").get().expires_at > before
    connection.transport.renew_bindings()
    wait_past(Binding.objects.using(broker).exclude(exchange="").get().expires_at)
    tell(elsewhere)
    assert waiting(broker) == []


def test_a_queue_that_is_read_all_the_time_does_not_expire(connection, elsewhere, broker, monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda _: None, now=0.0)
    monkeypatch.setattr("celeriac.broker.transport.time", clock)
    with connection.Consumer([transient("one", seconds=10)], on_message=lambda _: None):
        Binding.objects.using(broker).update(expires_at=1)

        for clock.now in range(1, 7):
            Broadcast.objects.using(broker).create(queue="one", payload=dumps(message()), expires_at=2**60)
            connection.drain_events(timeout=1)

    assert Binding.objects.using(broker).exclude(exchange="").get().expires_at > 1


def test_a_queue_that_was_swept_while_it_is_read_is_bound_again(connection, elsewhere, broker):
    with connection.Consumer([transient("one")], on_message=print):
        Binding.objects.using(broker).all().delete()

        connection.transport.renew_bindings()

        tell(elsewhere)
        assert waiting(broker) == ["one"]


def test_the_life_of_a_copy_is_at_most_that_of_its_queues_messages(connection, broker):
    topic = Exchange("events", type="topic")
    transient("one", exchange=topic, routing_key="#", message_ttl=5)(connection.default_channel).declare()

    tell(connection, exchange=topic, routing_key="task.sent")

    left = Broadcast.objects.using(broker).get().expires_at - clock.now()
    assert clock.seconds(4) < left <= clock.seconds(5)


def test_an_expired_copy_is_not_delivered_and_does_not_stand_in_the_way(connection, broker):
    queue = transient("one")
    queue(connection.default_channel).declare()
    for _ in range(3):
        tell(connection, "late", expiration=0.001)
    tell(connection, "in time")
    wait_past(clock.now() + clock.seconds(0.001))

    message = queue(connection.default_channel).get(no_ack=True)

    assert message.payload == "in time"


def test_a_copy_that_is_given_back_comes_again(connection, broker):
    queue = transient("one")(connection.default_channel)
    queue.declare()
    tell(connection)

    queue.get().requeue()

    assert queue.get().payload == "news"
    assert queue.get() is None


def test_a_refused_copy_is_gone_and_is_no_dead_letter(connection, broker):
    queue = transient("one")(connection.default_channel)
    queue.declare()
    tell(connection)

    queue.get().reject()

    assert queue.get() is None
    assert not DeadLetter.objects.using(broker).exists()


def test_a_deleted_transient_queue_takes_its_copies_with_it(connection, elsewhere, broker):
    transient("one")(connection.default_channel).declare()
    tell(elsewhere)

    elsewhere.default_channel.queue_delete("one")

    assert waiting(broker) == []
    assert not Binding.objects.using(broker).exists()


def test_events_without_a_reader_leave_nothing_behind(connection, broker):
    tell(connection, exchange=Exchange("celeryev", type="topic"), routing_key="worker.heartbeat")

    assert (waiting(broker), rows(broker)) == ([], 0)


def test_remote_control_asks_every_node_and_its_replies_vanish(connection, elsewhere, broker):
    mailbox = Mailbox("control", type="fanout", accept=["json"])
    nodes = []
    for name in ("one", "two"):
        node = mailbox.Node(name, channel=connection.channel())
        node.handlers["say"] = partial(say, name)
        node.listen()
        nodes.append(node)
    asking = mailbox(elsewhere)

    def ask():
        return asking._broadcast("say", {"word": "hello"}, reply=True, limit=2, timeout=2)

    def answer():
        while waiting(broker) or not answered:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.05)
                answered.append(1)

    answered = []
    replies, _ = in_threads([ask, answer])

    assert sorted(reply for each in replies for reply in each.values()) == ["one hello", "two hello"]
    assert (waiting(broker), rows(broker)) == ([], 0)


def say(name, _state, word):
    return f"{name} {word}"
