"""Queues: declared, bound, purged and deleted for every process, whoever did it."""

import threading

import pytest
from django.db import connections, transaction
from kombu import Exchange, Producer, Queue
from kombu.exceptions import ChannelError

from celeriac.broker.queries import restoring
from celeriac.broker.queries.routing import Bound
from celeriac.broker.store import Store
from celeriac.models import Binding, Message, MessageState
from celeriac.models import Queue as QueueRow
from tests.broker import (
    DEADLINE_SECONDS,
    bodies,
    in_thread,
    in_threads,
    message,
    noted,
    process,
    publish,
    rows,
)

TOPIC = Exchange("subjects", type="topic")
SPORT = Queue("sport", exchange=TOPIC, routing_key="sport.#")


def has_queue(connection, name):
    try:
        connection.default_channel.queue_declare(name, passive=True)
    except ChannelError:
        return False
    return True


def send_task(channel, queue):
    Producer(channel, exchange=queue.exchange).publish(
        "body", routing_key="sport.tennis", declare=[queue], headers={"task": "shop.pay"}
    )


def test_purging_leaves_what_is_claimed(broker, reader):
    publish(broker, "mails", "one", "two", "three")
    publish(broker, "others", "four")
    claiming = reader()
    [one] = claiming.claim("mails", limit=1)

    assert Store(broker).purge("mails") == 2

    assert rows(broker, queue="mails", state=MessageState.CLAIMED) == rows(broker, queue="mails") == 1
    assert rows(broker, queue="others") == 1
    claiming.ack(one)
    assert rows(broker, queue="mails") == 0


def test_purging_takes_as_many_steps_as_it_needs(broker, monkeypatch):
    monkeypatch.setattr("celeriac.broker.store.STEP", 1000)
    one = {"queue": "mails", "available_at": 0, "published_at": 0, "payload": "{}"}
    Message.objects.using(broker).bulk_create(Message(**one) for _ in range(2500))

    assert Store(broker).purge("mails") == 2500
    assert rows(broker) == 0


def test_the_size_of_a_queue_counts_what_waits_and_stops_at_the_limit(broker, reader):
    publish(broker, "mails", "one", "two", "three", "four")
    reader().claim("mails", limit=1)

    assert Store(broker).size("mails", 100) == 3
    assert Store(broker).size("mails", 2) == 2
    assert Store(broker).size("others", 2) == 0


def test_a_declared_queue_is_known_to_other_processes(connection, elsewhere):
    assert not has_queue(elsewhere, "mails")

    connection.default_channel.queue_declare("mails")

    assert has_queue(elsewhere, "mails")


def test_asking_for_a_queue_does_not_make_it(connection, elsewhere):
    assert not has_queue(connection, "mails")
    assert not has_queue(elsewhere, "mails")


def test_a_queue_that_another_process_deleted_is_gone(connection, elsewhere, broker):
    SPORT(connection.default_channel).declare()
    publish(broker, "sport", "one")

    elsewhere.default_channel.queue_delete("sport")

    assert not has_queue(connection, "sport")
    assert not Binding.objects.using(broker).exists()
    assert rows(broker) == 0


def test_a_publisher_that_is_running_sees_that_a_queue_was_deleted_and_bound_again(
    connection, elsewhere, broker
):
    SPORT(connection.default_channel).declare()
    send_task(connection.default_channel, SPORT)
    SPORT(elsewhere.default_channel).delete()
    other = Queue("another", exchange=TOPIC, routing_key="sport.#")
    other(elsewhere.default_channel).declare()

    connection.transport.store._routes.clear()  # They may be a second old.
    send_task(connection.default_channel, SPORT)

    assert rows(broker, queue="another") == 1
    assert rows(broker, queue="sport") == 0


def test_a_publisher_does_not_bring_back_a_queue_that_another_process_deleted(connection, elsewhere, broker):
    SPORT(connection.default_channel).declare()
    elsewhere.default_channel.queue_delete("sport")

    Producer(connection, exchange=TOPIC, auto_declare=False).publish("x", routing_key="sport.tennis")

    assert not Binding.objects.using(broker).exists()
    assert rows(broker) == 0


def test_a_task_for_a_queue_that_another_process_deleted_is_an_error(connection, elsewhere, broker):
    send_task(connection.default_channel, SPORT)
    elsewhere.default_channel.queue_delete("sport")
    connection.transport.store._routes.clear()  # They may be a second old.

    with pytest.raises(connection.channel_errors, match="would be lost"):
        send_task(connection.default_channel, SPORT)

    assert rows(broker) == 0


def test_what_a_dead_worker_held_of_a_deleted_queue_does_not_come_back(broker, stranger):
    publish(broker, "mails", "one", "two")
    publish(broker, "others", "three")
    holder = stranger()
    holder.claim("mails", limit=1)
    holder.claim("others")

    Store(broker).delete_queue("mails")
    holder.session.run(lambda connection, _: restoring.restore(connection, holder.worker))

    assert list(Message.objects.using(broker).values_list("queue", "state")) == [
        ("others", MessageState.READY)
    ]


def test_the_ack_of_a_task_whose_queue_was_deleted_is_nothing(broker, reader):
    publish(broker, "mails", "one")
    running = reader()
    [one] = running.claim("mails")

    Store(broker).delete_queue("mails")
    running.ack(one)

    assert rows(broker) == 0


def test_a_queue_may_be_declared_again_after_another_process_deleted_it(connection, elsewhere):
    connection.default_channel.queue_declare("mails")
    elsewhere.default_channel.queue_delete("mails")

    connection.default_channel.queue_declare("mails")

    assert has_queue(elsewhere, "mails")


def test_a_process_that_starts_later_publishes_by_the_bindings_of_others(connection, broker):
    SPORT(connection.default_channel).declare()
    code = """
from kombu import Connection, Exchange, Producer
with Connection(f"django://{alias}") as connection:
    producer = Producer(connection, exchange=Exchange("subjects", type="topic"), auto_declare=False)
    producer.publish("one", routing_key="sport.tennis")
print("sent", flush=True)
"""

    with process(code, broker) as publisher:
        assert publisher.line() == "sent"

    assert rows(broker, queue="sport") == 1


def test_unbinding_holds_for_other_processes(connection, elsewhere, broker):
    bound = SPORT(connection.default_channel)
    bound.declare()

    bound.unbind_from(TOPIC, routing_key="sport.#")

    assert elsewhere.default_channel.get_table("subjects") == []
    assert not Binding.objects.using(broker).exists()


def test_a_task_that_no_queue_would_get_is_an_error(connection, broker):
    TOPIC(connection.default_channel).declare()

    with pytest.raises(connection.channel_errors, match="would be lost"):
        Producer(connection, exchange=TOPIC).publish("x", routing_key="any", headers={"task": "shop.pay"})

    assert rows(broker) == 0


def test_the_first_task_of_a_process_may_be_published_in_a_transaction(connection, broker):
    with transaction.atomic(using=broker):
        send_task(connection.default_channel, SPORT)

    assert rows(broker, queue="sport") == 1
    assert Binding.objects.using(broker).get().queue == "sport"


def test_a_rolled_back_first_task_does_not_spoil_the_next(connection, elsewhere, broker):
    with transaction.atomic(using=broker):
        send_task(connection.default_channel, SPORT)
        transaction.set_rollback(True, using=broker)
    assert rows(broker) == 0

    send_task(connection.default_channel, SPORT)

    assert rows(broker, queue="sport") == 1


def test_a_queue_declared_in_a_rolled_back_transaction_can_be_declared_again(connection, elsewhere, broker):
    with transaction.atomic(using=broker):
        connection.default_channel.queue_declare("mails")
        transaction.set_rollback(True, using=broker)

    connection.default_channel.queue_declare("mails")

    assert has_queue(elsewhere, "mails")


def test_a_declaration_does_not_wait_for_an_open_transaction(broker):
    if connections[broker].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    is_declared, may_end = threading.Event(), threading.Event()

    def declare(store):
        store.declare_queue("mails", None)
        store.bind(Bound("subjects", "topic", "sport.#", "mails", is_transient=False, expires_at=None))

    def declare_and_stay_open():
        with transaction.atomic(using=broker):
            declare(Store(broker))
            Store(broker).publish("mails", message())
            is_declared.set()
            assert may_end.wait(DEADLINE_SECONDS)

    def declare_meanwhile():
        try:
            assert is_declared.wait(DEADLINE_SECONDS)
            # Waiting for the other one would end here, and not after the deadline of the test.
            with connections[broker].cursor() as cursor:
                timeout = {"postgresql": "lock_timeout = '2s'", "mysql": "innodb_lock_wait_timeout = 2"}
                cursor.execute(f"SET SESSION {timeout[connections[broker].vendor]}")
            declare(Store(broker))
            return QueueRow.objects.using(broker).filter(name="mails").exists()
        finally:
            may_end.set()

    _, was_there = in_threads([declare_and_stay_open, declare_meanwhile])

    assert was_there
    assert Binding.objects.using(broker).count() == 1


def test_four_processes_may_declare_the_same_at_once(broker):
    def declare():
        store = Store(broker)
        for number in range(10):
            store.declare_queue(f"queue {number}", None)
            store.bind(
                Bound("subjects", "topic", "#", f"queue {number}", is_transient=False, expires_at=None)
            )

    in_threads([declare] * 4)

    assert QueueRow.objects.using(broker).count() == Binding.objects.using(broker).count() == 10


def test_the_life_of_a_queues_messages_is_that_of_its_last_declaration(connection, broker):
    channel = connection.default_channel
    for seconds in (5, 1):
        queue = Queue("mails", message_ttl=seconds)
        queue(channel).declare()
        Producer(channel).publish("x", routing_key="mails", expiration=3)

    lives = [
        round((each.expires_at - each.published_at) / 1_000_000)
        for each in Message.objects.using(broker).order_by("id")
    ]
    assert lives == [3, 1]
    assert QueueRow.objects.using(broker).get().message_ttl == 1000


def test_the_life_of_a_queues_messages_holds_for_who_did_not_declare_it(connection, elsewhere, broker):
    Queue("mails", message_ttl=5)(connection.default_channel).declare()

    with noted(connections[broker]) as statements:
        for _ in range(2):
            Producer(elsewhere.default_channel).publish(
                "x", routing_key="mails", headers={"task": "shop.pay"}
            )

    lives = [each.expires_at - each.published_at for each in Message.objects.using(broker).all()]
    assert [round(life / 1_000_000) for life in lives] == [5, 5]
    assert sum("FROM celeriac_queue" in sql for sql, _ in statements) == 1


def test_who_declared_a_queue_is_not_asked_for_it(connection, broker):
    connection.default_channel.queue_declare("mails")

    with noted(connections[broker]) as statements:
        Producer(connection.default_channel).publish("x", routing_key="mails", headers={"task": "shop.pay"})

    assert not [sql for sql, _ in statements if "celeriac_queue" in sql]


def test_a_queue_of_another_thread_is_the_same_queue(broker, reader):
    in_thread(lambda: Store(broker).publish("mails", message("one")))

    assert bodies(reader().claim("mails")) == ["one"]
