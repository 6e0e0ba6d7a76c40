"""Messages that no worker can read: dead letters, whole, while the others are delivered."""

import base64
import binascii

import pytest
from django.utils import timezone
from kombu import Exchange, Producer, Queue, compression
from kombu.transport.virtual.base import Base64

from celeriac.broker.store import Store
from celeriac.models import Broadcast, DeadLetter, Message
from tests.broker import message, publish, rows
from tests.contract.test_store_prefetch import Taking, poll

BOMB = b"0" * (64 * 1024 * 1024)
COMPRESSIONS = ("gzip", "bzip2", "lzma", "zstd", "brotli")


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_compression_bomb_is_not_inflated(connection, broker, name):
    packed, kind = compression.compress(BOMB, name)
    bomb = message(base64.b64encode(packed).decode(), headers={"compression": kind})
    bomb["properties"]["body_encoding"] = "base64"
    Store(broker).publish("mails", bomb)
    publish(broker, "mails", "good")
    taking = Taking(connection, 5)

    poll(connection)

    assert taking.payloads == ["good"]
    assert "inflates to more than" in DeadLetter.objects.using(broker).get().reason


def test_an_unknown_compression_is_a_dead_letter(connection, broker):
    Store(broker).publish("mails", message("?", headers={"compression": "application/x-own"}))
    taking = Taking(connection, 5)

    poll(connection)

    assert taking.payloads == []
    assert "cannot be read within a bound" in DeadLetter.objects.using(broker).get().reason


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_compressed_message_is_read(connection, broker, name):
    with connection.Producer() as producer:
        producer.publish({"a": 1}, routing_key="mails", serializer="json", compression=name)
    taking = Taking(connection, 5)

    poll(connection)

    assert taking.payloads == [{"a": 1}]


def test_a_broken_body_is_a_dead_letter_and_stops_nothing(connection, broker):
    broken = message("not base64!")
    broken["properties"]["body_encoding"] = "base64"
    with pytest.raises(binascii.Error):
        Base64().decode(broken["body"])
    Store(broker).publish("mails", broken)
    publish(broker, "mails", "good")
    taking = Taking(connection, 5)

    poll(connection)

    assert taking.payloads == ["good"]
    assert DeadLetter.objects.using(broker).get().payload.count("not base64!") == 1


def test_a_burial_that_fails_keeps_the_others_deliverable(connection, broker, monkeypatch):
    from celeriac.broker.errors import BrokerConnectionLost
    from celeriac.broker.queries import queries_for

    Store(broker).publish("mails", message("bad", headers={"when": {"__type__": "uuid", "__value__": "?"}}))
    publish(broker, "mails", "good")
    taking = Taking(connection, 5)
    bury = queries_for(taking.channel.deliveries.session.connection()).__class__.bury
    failures = [BrokerConnectionLost("away")]

    def bury_later(*arguments):
        if failures:
            raise failures.pop()
        return bury(*arguments)

    queries = queries_for(taking.channel.deliveries.session.connection()).__class__
    monkeypatch.setattr(queries, "bury", bury_later)
    poll(connection)
    taking.channel.deliveries.flush()

    assert taking.payloads == ["good"]
    assert DeadLetter.objects.using(broker).count() == 1
    assert rows(broker, claimed_by=None) == 0


def test_a_task_that_expires_reaches_a_worker_which_revokes_it(broker):
    soon = {"expires": timezone.now().isoformat(), "task": "shop.mail", "id": "a"}
    Store(broker).publish("mails", message("late", headers=soon, expiration="1"))

    assert Message.objects.using(broker).get().expires_at is None


def test_an_answer_by_the_queues_name_alone_reaches_its_reader(connection, broker):
    from tests.broker import connect

    reply = Queue("answers", Exchange(""), routing_key="answers", exclusive=True, auto_delete=True)
    reply(connection.default_channel).declare()
    with connect(broker) as elsewhere, elsewhere.Producer() as producer:
        producer.publish("answer", routing_key="answers", serializer="json")

    assert rows(broker) == 0
    assert Broadcast.objects.using(broker).get().queue == "answers"


@pytest.mark.parametrize("payload", ["garbage", "[]"])
def test_a_message_of_a_vanishing_queue_that_cannot_be_read_is_left_out(connection, broker, payload):
    reply = Queue("replies", auto_delete=True, durable=False)
    taking = Taking(connection, 5, reply)
    Broadcast.objects.using(broker).create(queue="replies", turn=9, payload=payload, expires_at=2**62)
    Producer(connection).publish("good", routing_key="replies")

    poll(connection)

    assert taking.payloads == ["good"]
