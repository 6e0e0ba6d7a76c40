"""kombu's published behaviours of a transport, 23 to 25 of 30: time to live.

| n  | kombu's class and test                        | test here |
|----|-----------------------------------------------|---|
| 23 | BaseTimeToLive.publish_consume                | a_message_is_not_delivered_after_its_time |
| 24 | BaseTimeToLive.simple_queue_publish_consume   | a_simple_queue_does_not_give_a_message_after_its_time |
| 25 | BaseTimeToLive.simple_buffer_publish_consume  | a_simple_queue_does_not_give_a_message_after_its_time |
"""

import socket
from contextlib import closing

import pytest
from kombu import Consumer, Producer, Queue

from celeriac.broker import clock
from tests.broker import wait_past

LIFE_SECONDS = 0.05


def wait_for_its_end():
    wait_past(clock.now() + clock.seconds(LIFE_SECONDS))


def test_a_message_is_not_delivered_after_its_time(connection):
    queue = Queue("short lives", routing_key="short lives")
    delivered = []
    with connection.channel() as channel:
        Producer(channel).publish(
            "late", routing_key="short lives", declare=[queue], expiration=LIFE_SECONDS, retry=True
        )
    wait_for_its_end()

    with (
        Consumer(connection, [queue], callbacks=[lambda *given: delivered.append(given)]),
        pytest.raises(socket.timeout),
    ):
        connection.drain_events(timeout=0.05)

    assert delivered == []


@pytest.mark.parametrize("kind", ["SimpleQueue", "SimpleBuffer"])
def test_a_simple_queue_does_not_give_a_message_after_its_time(connection, kind):
    with closing(getattr(connection, kind)("short lives")) as queue:
        queue.put("late", expiration=LIFE_SECONDS)
        queue.put("in time", expiration=60)
        wait_for_its_end()

        assert queue.get(timeout=5).payload == "in time"
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.05)
