"""kombu's published behaviours of a transport, 26 to 29 of 30: priorities, the highest number first.

| n  | kombu's class and test                      | test here |
|----|---------------------------------------------|---|
| 26 | BasePriority.publish_consume                | messages_come_by_priority_then_by_age |
| 27 | BasePriority.publish_requeue_consume        | messages_given_back_keep_their_place |
| 28 | BasePriority.simple_queue_publish_consume   | a_simple_queue_gives_by_priority_then_by_age |
| 29 | BasePriority.simple_buffer_publish_consume  | a_simple_queue_gives_by_priority_then_by_age |
"""

from contextlib import closing

import pytest
from kombu import Consumer, Producer, Queue

QUEUE = Queue("by priority", routing_key="by priority", max_priority=10)


def publish(connection, *messages):
    with connection.channel() as channel:
        for body, priority in messages:
            Producer(channel).publish(
                body, routing_key="by priority", declare=[QUEUE], priority=priority, retry=True
            )


def drain(connection):
    delivered = []
    with Consumer(connection, [QUEUE], on_message=delivered.append):
        connection.drain_events(timeout=5)
    return delivered


def test_messages_come_by_priority_then_by_age(connection):
    publish(connection, ("first", 3), ("second", 6), ("third", 3), ("fourth", None))

    delivered = drain(connection)

    assert [message.payload for message in delivered] == ["second", "first", "third", "fourth"]


def test_messages_given_back_keep_their_place(connection):
    publish(connection, ("first", 3), ("second", 6), ("third", 3))
    for message in drain(connection):
        message.requeue()
    publish(connection, ("fourth", 9))

    delivered = drain(connection)

    assert [message.payload for message in delivered] == ["fourth", "second", "first", "third"]


@pytest.mark.parametrize("kind", ["SimpleQueue", "SimpleBuffer"])
def test_a_simple_queue_gives_by_priority_then_by_age(connection, kind):
    given = []
    with closing(getattr(connection, kind)("simple", queue_opts={"max_priority": 10})) as queue:
        for body, priority in (("first", 1), ("second", 7), ("third", 1)):
            queue.put(body, priority=priority)

        for _ in range(3):
            message = queue.get(timeout=5)
            message.ack()
            given.append(message.payload)

    assert given == ["second", "first", "third"]
