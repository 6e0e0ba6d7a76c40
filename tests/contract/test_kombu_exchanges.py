"""kombu's published behaviours of a transport, 18 to 22 of 30: exchanges.

| n  | kombu's class and test                      | test here |
|----|---------------------------------------------|---|
| 18 | BaseExchangeTypes.direct                    | a_direct_exchange_delivers_to_its_queue |
| 19 | BaseExchangeTypes.direct_routing_keys       | a_direct_exchange_delivers_by_the_whole_routing_key |
| 20 | BaseExchangeTypes.fanout                    | a_fanout_exchange_delivers_to_every_queue |
| 21 | BaseExchangeTypes.topic                     | a_topic_exchange_delivers_by_the_pattern |
| 22 | BaseExchangeTypes.publish_empty_exchange    | publishing_to_an_exchange_without_queues_is_no_error |
"""

import pytest
from kombu import Exchange, Producer, Queue

from tests.broker import rows


def publish(connection, exchange, queues, routing_key=""):
    with connection.channel() as channel:
        Producer(channel, exchange=exchange).publish(
            {"hello": "world"}, declare=list(queues), routing_key=routing_key, serializer="pickle"
        )


def received(connection, *queues):
    """How many messages each queue has; they are taken out."""
    counts = []
    for queue in queues:
        taken = 0
        while message := queue(connection.default_channel).get(accept=["pickle"]):
            assert message.payload == {"hello": "world"}
            message.ack()
            taken += 1
        counts.append(taken)
    return counts


def test_a_direct_exchange_delivers_to_its_queue(connection):
    exchange = Exchange("direct", type="direct")
    queue = Queue("one", exchange=exchange)

    publish(connection, exchange, [queue])

    assert received(connection, queue) == [1]


def test_a_direct_exchange_delivers_by_the_whole_routing_key(connection):
    exchange = Exchange("by key", type="direct")
    queues = [Queue(f"queue {key}", exchange=exchange, routing_key=key) for key in ("red", "red.dark")]

    publish(connection, exchange, queues, "red")
    assert received(connection, *queues) == [1, 0]

    publish(connection, exchange, queues, "blue")
    assert received(connection, *queues) == [0, 0]


@pytest.mark.parametrize("is_transient", [False, True])
def test_a_fanout_exchange_delivers_to_every_queue(connection, is_transient):
    exchange = Exchange("everybody", type="fanout")
    queues = [Queue(name, exchange=exchange, auto_delete=is_transient) for name in ("one", "two")]

    publish(connection, exchange, queues)

    assert received(connection, *queues) == [1, 1]


def test_a_topic_exchange_delivers_by_the_pattern(connection):
    exchange = Exchange("subjects", type="topic")
    keys = ["news.*", "news.*", "news", "news.#", "*.sport", "news.sport.tennis"]
    queues = [Queue(f"queue {n}", exchange=exchange, routing_key=key) for n, key in enumerate(keys)]

    publish(connection, exchange, queues, "news.sport")

    assert received(connection, *queues) == [1, 1, 0, 1, 1, 0]


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout"])
def test_publishing_to_an_exchange_without_queues_is_no_error(connection, broker, kind):
    publish(connection, Exchange("nobody listens", type=kind), [], "any.key")

    assert rows(broker) == 0
