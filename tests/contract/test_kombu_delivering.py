"""kombu's published behaviours of a transport, 10 to 17 of 30: delivering, and what becomes of it.

| n  | kombu's class and test                            | test here |
|----|---------------------------------------------------|---|
| 10 | BasicFunctionality.publish_consume                | what_was_published_is_consumed |
| 11 | BasicFunctionality.consume_empty_queue            | an_empty_queue_delivers_nothing |
| 12 | BasicFunctionality.simple_queue_publish_consume   | a_simple_queue_gives_back_what_was_put |
| 13 | BasicFunctionality.simple_buffer_publish_consume  | a_simple_queue_gives_back_what_was_put |
| 14 | BaseMessage.ack                                   | an_acknowledged_message_is_gone |
| 15 | BaseMessage.reject_no_requeue                     | a_rejected_message_is_not_delivered_again |
| 16 | BaseMessage.reject_requeue                        | a_message_that_is_given_back_is_delivered_again |
| 17 | BaseMessage.requeue                               | a_message_that_is_given_back_is_delivered_again |
"""

import socket
from contextlib import closing

import pytest
from kombu import Consumer, Producer, Queue

from tests.broker import rows

LETTER = {"from": "Ada", "text": "ünïcode \x00 😀"}


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_what_was_published_is_consumed(connection, broker, serializer):
    queue = Queue("letters", routing_key="letters")
    delivered = []

    def read(body, message):
        delivered.append((body, message.headers, message.delivery_info["routing_key"], message.properties))
        message.ack()

    with connection.channel() as channel:
        Producer(channel).publish(
            LETTER,
            retry=True,
            routing_key="letters",
            declare=[queue],
            serializer=serializer,
            headers={"stamp": 1},
            correlation_id="c1",
        )
        with Consumer(connection, [queue], callbacks=[read], accept=[serializer]):
            connection.drain_events(timeout=5)

    [(body, headers, routing_key, properties)] = delivered
    assert (body, headers, routing_key, properties["correlation_id"]) == (
        LETTER,
        {"stamp": 1},
        "letters",
        "c1",
    )
    assert rows(broker) == 0


def test_an_empty_queue_delivers_nothing(connection):
    delivered = []

    with (
        Consumer(connection, [Queue("nothing")], callbacks=[lambda *given: delivered.append(given)]),
        pytest.raises(socket.timeout),
    ):
        connection.drain_events(timeout=0.05)

    assert delivered == []


@pytest.mark.parametrize("kind", ["SimpleQueue", "SimpleBuffer"])
def test_a_simple_queue_gives_back_what_was_put(connection, kind):
    with closing(getattr(connection, kind)("simple")) as queue:
        queue.put(LETTER, headers={"stamp": 1})

        message = queue.get(timeout=5)

        assert (message.payload, message.headers) == (LETTER, {"stamp": 1})
        assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
        message.ack()


def test_an_acknowledged_message_is_gone(connection, broker):
    with closing(connection.SimpleQueue("acks")) as queue:
        queue.put(LETTER)

        queue.get_nowait().ack()

        with pytest.raises(queue.Empty):
            queue.get_nowait()
        assert rows(broker) == 0


def test_a_rejected_message_is_not_delivered_again(connection, broker):
    with closing(connection.SimpleQueue("rejects")) as queue:
        queue.put(LETTER)

        queue.get_nowait().reject(requeue=False)

        with pytest.raises(queue.Empty):
            queue.get_nowait()
        assert rows(broker) == 0


@pytest.mark.parametrize("give_back", [lambda it: it.reject(requeue=True), lambda it: it.requeue()])
def test_a_message_that_is_given_back_is_delivered_again(connection, give_back):
    with closing(connection.SimpleQueue("given back")) as queue:
        queue.put(LETTER)
        first = queue.get_nowait()

        give_back(first)

        second = queue.get_nowait()
        assert (second.body, second.delivery_tag != first.delivery_tag) == (first.body, True)
        assert [each.delivery_info["redelivered"] for each in (first, second)] == [False, True]
        second.ack()
