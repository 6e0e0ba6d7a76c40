"""ETA and countdown: a message waits in the database until it is due, never in a consumer."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from celeriac.broker import clock
from celeriac.broker.queries.base import STEP
from celeriac.broker.store import Store
from celeriac.models import Message, MessageState
from tests.broker import bodies, in_threads, message, publish, rows, wait_until


def publish_for(alias, *etas, queue="mails", **properties):
    for eta in etas:
        text = eta if isinstance(eta, str) else eta.isoformat()
        Store(alias).publish(queue, message(text, headers={"eta": text}, **properties))


def now(**later):
    return datetime.now(UTC) + timedelta(**later)


def wait_seconds(claiming):
    """Promote what is due; seconds until the next one is, or None."""
    return claiming.deliveries.promote_due(["mails"]).wait_seconds


def make_due(alias):
    """Let the time come for every message, in the order of their times."""
    for stored in Message.objects.using(alias).filter(state=MessageState.DELAYED):
        stored.available_at -= clock.seconds(24 * 3600)
        stored.save()


def test_a_message_is_not_claimable_before_it_is_due(broker, reader):
    publish_for(broker, now(hours=1))
    claiming = reader()

    due_in = wait_seconds(claiming)

    assert claiming.claim("mails") == []
    assert 3590 < due_in <= 3600


def test_a_message_is_claimable_when_it_is_due(broker, reader):
    publish_for(broker, now(hours=1))
    claiming = reader()
    make_due(broker)

    assert wait_seconds(claiming) is None
    assert len(claiming.claim("mails")) == 1


def test_only_what_is_due_becomes_claimable(broker, reader):
    publish_for(broker, now(hours=1))
    make_due(broker)
    publish_for(broker, now(hours=1))
    claiming = reader()

    seconds = wait_seconds(claiming)

    assert len(claiming.claim("mails")) == 1
    assert 3590 < seconds <= 3600


def test_the_consumer_is_told_when_the_next_one_is_due(broker, reader):
    claiming = reader()
    assert wait_seconds(claiming) is None

    publish_for(broker, now(seconds=90), now(seconds=30), now(seconds=60))

    assert 20 < wait_seconds(claiming) <= 30


def test_a_time_that_has_passed_does_not_delay(broker, reader):
    publish_for(broker, now(seconds=-1))

    assert len(reader().claim("mails")) == 1


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=5.5))])
def test_the_zone_of_the_time_is_respected(broker, reader, zone):
    publish_for(broker, now(minutes=1).astimezone(zone))

    assert 50 < wait_seconds(reader()) <= 60


def test_a_time_without_a_zone_is_utc(broker, reader):
    publish_for(broker, now(minutes=1).replace(tzinfo=None))

    assert 50 < wait_seconds(reader()) <= 60


def test_a_time_that_is_none_reaches_the_worker_which_refuses_it(broker, reader):
    publish_for(broker, "tomorrow at tea time")

    assert bodies(reader().claim("mails")) == ["tomorrow at tea time"]


def test_due_messages_come_by_priority_then_by_age(broker, reader):
    second, first = now(hours=1), now(hours=2)
    publish_for(broker, first, second)
    publish_for(broker, now(hours=3), priority=9)
    publish(broker, "mails", "never delayed")
    make_due(broker)
    claiming = reader()

    wait_seconds(claiming)

    texts = bodies(claiming.claim("mails"))
    assert texts[1:] == [first.isoformat(), second.isoformat(), "never delayed"]


def test_more_messages_than_one_step_become_due_together(broker, reader):
    one = {"queue": "mails", "state": MessageState.DELAYED, "published_at": 0, "payload": "{}"}
    Message.objects.using(broker).bulk_create(
        Message(available_at=clock.now() - number, **one) for number in range(STEP + 10)
    )

    assert wait_seconds(reader()) is None

    assert rows(broker, state=MessageState.READY) == STEP + 10


def test_four_consumers_promote_at_once(broker, reader):
    publish_for(broker, *[now(hours=1)] * 40)
    make_due(broker)

    def promote(claiming):
        wait_until(lambda: wait_seconds(claiming) is None, "all are promoted")

    claimings = [reader() for _ in range(4)]
    in_threads([lambda each=each: promote(each) for each in claimings])

    assert rows(broker, state=MessageState.READY) == 40


def test_a_delayed_message_is_delivered_when_its_time_comes(broker, connection):
    eta = now(milliseconds=150)
    publish_for(broker, eta)
    delivered = []

    with connection.Consumer([connection.SimpleQueue("mails").queue], on_message=delivered.append):
        connection.drain_events(timeout=10)

    assert [message.payload for message in delivered] == [eta.isoformat()]
    assert clock.now() >= clock.parse(eta)


def test_a_delayed_message_counts_as_waiting_and_is_purged(broker):
    publish_for(broker, now(hours=1))

    assert Store(broker).size("mails", 10) == 1
    assert Store(broker).purge("mails") == 1
