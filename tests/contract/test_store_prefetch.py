"""What a channel may hold, and what becomes of it when the channel ends or the delivery fails."""

import pytest
from kombu import Exchange, Producer, Queue

from celeriac.broker import clock
from celeriac.broker.store import Store
from celeriac.models import DeadLetter, MessageState
from tests.broker import connect, message, publish, rows, wait_past

MAILS = Queue("mails")


class Taking:
    """A consumer of the queue with its own channel; it keeps what it is given."""

    def __init__(self, connection, prefetch_count, *queues):
        self.channel = connection.channel()
        self.channel.basic_qos(0, prefetch_count, False)
        self.messages = []
        self.consumer = connection.Consumer(
            list(queues) or [MAILS], channel=self.channel, on_message=self.messages.append
        )
        self.consumer.consume()

    @property
    def payloads(self):
        return [message.payload for message in self.messages]


def poll(connection):
    while connection.transport.poll():
        pass


@pytest.mark.parametrize("count", [1, 3])
def test_a_channel_holds_no_more_than_its_prefetch_count(connection, broker, count):
    publish(broker, "mails", *"abcde")
    taking = Taking(connection, count)

    poll(connection)
    poll(connection)

    assert taking.payloads == list("abcde")[:count]
    assert rows(broker, state=MessageState.CLAIMED) == count


def test_a_channel_without_a_prefetch_count_takes_everything(connection, broker):
    publish(broker, "mails", *map(str, range(250)))
    taking = Taking(connection, 0)

    poll(connection)

    assert taking.payloads == [str(number) for number in range(250)]


def test_what_is_settled_makes_room(connection, broker):
    publish(broker, "mails", *"abcdef")
    taking = Taking(connection, 3)
    poll(connection)
    first, second, third = taking.messages

    first.ack()
    second.reject()
    third.requeue()
    poll(connection)

    assert taking.payloads == [*"abc", *"cde"]


def test_a_larger_prefetch_count_counts_at_once(connection, broker):
    publish(broker, "mails", *"abc")
    taking = Taking(connection, 1)
    poll(connection)

    taking.channel.basic_qos(0, 2, False)
    poll(connection)

    assert taking.payloads == ["a", "b"]


def test_each_channel_has_its_own_count(connection, broker):
    publish(broker, "mails", *"abc")
    first, second = Taking(connection, 1), Taking(connection, 1)

    poll(connection)

    assert (first.payloads, second.payloads) == (["a"], ["b"])


def test_messages_without_ack_take_no_room_and_are_gone(connection, broker):
    publish(broker, "mails", *"abc")
    given = []
    channel = connection.channel()
    channel.basic_qos(0, 1, False)

    with connection.Consumer([MAILS], channel=channel, on_message=given.append, no_ack=True):
        poll(connection)

    assert len(given) == 3
    assert rows(broker) == 0


def test_a_closed_channel_gives_back_what_it_held(connection, broker):
    publish(broker, "mails", *"abc")
    taking = Taking(connection, 2)
    poll(connection)

    taking.channel.close()

    assert rows(broker, state=MessageState.READY, deliveries=0) == 3


def test_a_closed_channel_gives_back_what_it_holds(connection, broker):
    publish(broker, "mails", *"ab")
    taking = Taking(connection, 2)
    poll(connection)

    connection.close()

    assert rows(broker, state=MessageState.READY, deliveries=0) == 2
    # An ack that comes later is that of another delivery: it finds nothing.
    taking.messages[0].ack()
    assert rows(broker) == 2


def test_recovering_gives_back_what_is_held(connection, broker):
    publish(broker, "mails", *"ab")
    taking = Taking(connection, 2)
    poll(connection)

    taking.channel.basic_recover(requeue=True)
    poll(connection)

    assert taking.payloads == [*"ab", *"ab"]
    assert rows(broker) == 2


def test_a_delivery_that_fails_gives_back_what_came_after_it(connection, broker):
    publish(broker, "mails", *"abc")

    def fail(message):
        raise LookupError(message.payload)

    connection.default_channel.basic_qos(0, 3, False)
    with connection.Consumer([MAILS], on_message=fail), pytest.raises(LookupError, match="a"):
        connection.drain_events(timeout=5)

    assert rows(broker, state=MessageState.READY, deliveries=0) == 2
    connection.close()
    assert rows(broker, state=MessageState.READY) == 3


def test_a_message_that_cannot_be_read_is_a_dead_letter_and_stops_nothing(connection, broker):
    Store(broker).publish("mails", message("bad", headers={"when": {"__type__": "uuid", "__value__": "?"}}))
    publish(broker, "mails", "good")
    taking = Taking(connection, 5)

    poll(connection)

    assert taking.payloads == ["good"]
    assert "cannot be read" in DeadLetter.objects.using(broker).get().reason


def test_a_cancelled_consumer_is_given_nothing_more(connection, broker):
    taking = Taking(connection, 5)
    taking.consumer.cancel()
    publish(broker, "mails", "a")

    poll(connection)

    assert taking.payloads == []
    assert rows(broker, state=MessageState.READY) == 1


def test_copies_and_messages_share_the_prefetch_count(connection, broker):
    news = Queue("news", exchange=Exchange("news", type="fanout"), auto_delete=True)
    taking = Taking(connection, 2, MAILS, news)
    for body in "ab":
        publish(broker, "mails", body)
        Producer(connection, exchange=news.exchange).publish(body)

    poll(connection)

    assert len(taking.messages) == 2


def test_one_consumer_takes_from_several_queues(connection, broker):
    publish(broker, "mails", "a")
    publish(broker, "calls", "b", priority=5)
    taking = Taking(connection, 5, MAILS, Queue("calls"))

    poll(connection)

    assert taking.payloads == ["b", "a"]


def test_a_message_that_two_queues_get_is_two_messages(connection, broker):
    Store(broker).publish("mails", message("a"))
    Store(broker).publish("calls", message("a"))
    taking = Taking(connection, 5, MAILS, Queue("calls"))
    poll(connection)

    taking.messages[0].ack()

    assert rows(broker) == 1


def test_connections_of_one_process_do_not_take_each_others_messages(connection, broker):
    publish(broker, "mails", *"ab")
    first = Taking(connection, 1)
    poll(connection)

    with connect(broker) as other:
        second = Taking(other, 5)
        poll(other)
        assert (first.payloads, second.payloads) == (["a"], ["b"])

    assert rows(broker, state=MessageState.CLAIMED) == 1


class Running:
    """Stands for a request that a pool works on."""

    def __init__(self, task_id):
        self.id = task_id


def test_a_callback_that_cancels_its_consumer_strands_no_message(connection, broker):
    publish(broker, "mails", "one", "two", "three")
    taking = Taking(connection, 10)
    taking.consumer.on_message = lambda _: taking.consumer.cancel()

    poll(connection)
    taking.channel.close()

    assert rows(broker, state=MessageState.READY) == 3


def test_the_child_of_a_fork_holds_nothing_and_rings_nobody(connection, broker):
    publish(broker, "mails", "one")
    taking = Taking(connection, 10)
    poll(connection)
    deliveries = connection.transport.deliveries
    deliveries.nudge = lambda: None

    deliveries.begin_anew()
    taking.messages[0].ack()

    assert deliveries.nudge is None
    assert rows(broker, state=MessageState.CLAIMED) == 1


def test_a_long_row_of_expired_messages_is_worked_off_in_parts(connection, broker, caplog):
    publish(broker, "mails", *["late"] * 25, expiration="1")
    publish(broker, "mails", "in time")
    wait_past(clock.now() + clock.seconds(0.001))
    taking = Taking(connection, 1)
    transport = connection.transport

    assert transport.poll() == 0
    assert transport.deliveries.claims.is_cut_short
    while transport.deliveries.claims.is_cut_short:
        transport.poll()

    assert taking.payloads == ["in time"]
    assert DeadLetter.objects.using(broker).count() == 25


def test_a_channel_that_has_no_room_any_more_does_not_ask_for_another_look(connection, broker):
    publish(broker, "mails", *["late"] * 25, expiration="1")
    wait_past(clock.now() + clock.seconds(0.001))
    taking = Taking(connection, 1)
    transport = connection.transport
    transport.poll()
    assert transport.deliveries.claims.is_cut_short

    taking.consumer.cancel()
    transport.poll()

    assert not transport.deliveries.claims.is_cut_short
