"""Settling: ack, release, requeue and dead letters, each only by the holder of the last claim."""

import logging

import pytest
from django.db import transaction
from django.test import override_settings

from celeriac.broker import clock
from celeriac.broker.queries import restoring
from celeriac.broker.store import Store
from celeriac.dead_letters import dead_lettered
from celeriac.models import DeadLetter, Message, MessageState
from tests.broker import bodies, in_thread, message, publish, rows, wait_past

TASK = {"id": "t1", "task": "shop.pay"}


@pytest.fixture
def given_up():
    """What the signal says: (task id, task name, reason)."""
    heard = []

    def hear(task_id, task_name, reason, **_):
        heard.append((task_id, task_name, reason))

    dead_lettered.connect(hear)
    yield heard
    dead_lettered.disconnect(hear)


def dead(alias):
    return DeadLetter.objects.using(alias).get()


def test_an_acknowledged_message_is_deleted(broker, reader):
    publish(broker, "mails", "one", "two")
    claiming = reader()
    one, _ = claiming.claim("mails")

    claiming.ack(one)

    assert list(Message.objects.using(broker).values_list("id", flat=True)) == [one.id + 1]


def test_an_ack_may_come_from_any_thread_and_twice(broker, reader):
    publish(broker, "mails", "one")
    claiming = reader()
    [one] = claiming.claim("mails")

    in_thread(lambda: claiming.ack(one))
    in_thread(lambda: claiming.ack(one))

    assert rows(broker) == 0


def test_an_ack_is_not_part_of_the_callers_transaction(broker, reader):
    claiming = reader()
    if claiming.deliveries.session.connection().vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    publish(broker, "mails", "one")
    [one] = claiming.claim("mails")

    with transaction.atomic(using=broker):
        Store(broker).publish("calls", message())
        claiming.ack(one)
        transaction.set_rollback(True, using=broker)

    assert rows(broker) == 0


def test_an_ack_of_what_nobody_holds_is_nothing(broker, reader):
    publish(broker, "mails", "one")
    [one] = reader().claim("mails")

    reader().ack(one)

    assert rows(broker) == 1


@pytest.mark.parametrize("settle", ["ack", "requeue", "release", "bury"])
def test_the_holder_of_an_old_claim_changes_nothing(broker, reader, stranger, settle, caplog):
    publish(broker, "mails", "one")
    old, new = reader(), stranger()
    [claimed] = old.claim("mails")
    new.session.run(lambda connection, queries: queries.requeue(connection, [(claimed.id, claimed.token)]))
    [again] = new.claim("mails")
    before = Message.objects.using(broker).values().get()

    with caplog.at_level(logging.CRITICAL):
        getattr(old, settle)(claimed, *(["refused"] if settle == "bury" else []))

    assert Message.objects.using(broker).values().get() == before
    assert before["claim_token"] == again.token
    assert not DeadLetter.objects.using(broker).exists()


def test_an_ack_that_came_too_late_is_told(broker, reader, stranger, caplog):
    publish(broker, "mails", "one")
    old = reader()
    [claimed] = old.claim("mails")
    stranger().session.run(lambda connection, _: restoring.restore_orphans(connection))
    stranger().session.run(
        lambda connection, queries: queries.requeue(connection, [(claimed.id, claimed.token)])
    )

    old.ack(claimed)

    assert "came too late" in caplog.text


def test_a_released_delivery_does_not_count(broker, reader):
    publish(broker, "mails", "one")
    claiming = reader()

    for _ in range(3):
        [claimed] = claiming.claim("mails")
        assert claimed.deliveries == 1
        claiming.release(claimed)

    assert rows(broker, state=MessageState.READY, deliveries=0, claimed_by=None, claim_token=None) == 1


def test_a_requeued_delivery_counts_and_keeps_its_place(broker, reader):
    publish(broker, "mails", "one", "two")
    claiming = reader()
    one, two = claiming.claim("mails")

    claiming.requeue(two)
    claiming.requeue(one)

    assert [(each.deliveries, bodies([each])) for each in claiming.claim("mails")] == [
        (2, ["one"]),
        (2, ["two"]),
    ]


@override_settings(CELERIAC={"MAX_DELIVERIES": 2})
def test_a_message_that_never_ends_becomes_a_dead_letter(broker, reader, given_up):
    Store(broker).publish("mails", message("bad", headers=TASK, correlation_id="c"))
    claiming = reader()
    payload = Message.objects.using(broker).get().payload
    for _ in range(2):
        claiming.requeue(claiming.claim("mails")[0])

    assert claiming.claim("mails") == []

    found = dead(broker)
    assert found.reason == "delivered 2 times and never finished"
    assert (found.payload, found.queue, found.task_id, found.task_name) == (
        payload,
        "mails",
        "t1",
        "shop.pay",
    )
    assert abs(found.died_at - clock.now()) < clock.seconds(60)
    assert rows(broker) == 0
    assert given_up == [("t1", "shop.pay", found.reason)]


def test_an_expired_message_becomes_a_dead_letter(broker, reader, given_up):
    Store(broker).publish("mails", message("late", headers=TASK, expiration="1"))
    publish(broker, "mails", "in time", expiration="60000")
    wait_past(clock.now() + clock.seconds(0.001))

    assert bodies(reader().claim("mails")) == ["in time"]

    assert (dead(broker).reason, dead(broker).task_id) == ("expired before a worker took it", "t1")
    assert given_up == [("t1", "shop.pay", "expired before a worker took it")]


def test_what_cannot_be_delivered_does_not_stand_in_the_way(broker, reader):
    publish(broker, "mails", *["late"] * 5, expiration="1")
    publish(broker, "mails", "in time")
    wait_past(clock.now() + clock.seconds(0.001))

    # With room for one, the consumer that was woken once must find it.
    assert bodies(reader().claim("mails", limit=1)) == ["in time"]


def test_a_message_that_lives_for_ever_has_no_end(broker):
    publish(broker, "mails", "one")

    assert Message.objects.using(broker).get().expires_at is None


def test_a_rejected_message_becomes_a_dead_letter(broker, connection, caplog):
    with connection.SimpleQueue("mails") as queue:
        queue.put("bad", headers=TASK)
        payload = Message.objects.using(broker).get().payload

        queue.get(timeout=5).reject()

    found = dead(broker)
    assert (found.reason, found.task_name, found.payload) == ("rejected by the worker", "shop.pay", payload)
    assert (found.deliveries, rows(broker)) == (1, 0)
    reason = f"Message {found.task_id} is a dead letter: rejected by the worker."
    assert caplog.messages == [f"{reason} See: manage.py celery dead id:{found.task_id}"]
