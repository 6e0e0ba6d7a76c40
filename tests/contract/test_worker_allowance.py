"""What waits for the database takes no place of the prefetch count, on a real Redis and a real RabbitMQ."""

from types import SimpleNamespace

import pytest
from celery.worker import state
from kombu import Connection, Consumer, Queue
from kombu.asynchronous import set_event_loop
from kombu.common import QoS

from celeriac.broker import redis_acks
from celeriac.worker.allowance import allowance_of
from tests.broker import wait_until
from tests.proxy import proxied

COUNT, MESSAGES = 2, 60


class Request:
    """What a worker has taken and has not ended."""


@pytest.fixture(params=["redis", "rabbitmq"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


class Worker:
    """A consumer with Celery's count, and a pool that ends tasks when it is told to."""

    def __init__(self, connection):
        self.connection = connection
        self.app = SimpleNamespace(conf=SimpleNamespace(worker_detect_quorum_queues=False))
        self.connection_errors = connection.connection_errors
        self.channel_errors = connection.channel_errors
        self.messages, self.ended = [], []
        self.initial_prefetch_count = COUNT
        channel, queue = connection.default_channel, Queue("work")
        with connection.Producer(channel) as producer:
            for number in range(MESSAGES):
                producer.publish(number, routing_key="work", exchange="", declare=[queue])
        self.task_consumer = Consumer(channel, [queue], on_message=self._take, auto_declare=False)
        self.is_global = not connection.qos_semantics_matches_spec
        self.qos = QoS(self._tell, COUNT)
        self.qos.update()
        self.task_consumer.consume()

    def _tell(self, prefetch_count):
        self.task_consumer.qos(prefetch_count=prefetch_count, apply_global=self.is_global)

    def _take(self, message):
        message.request = Request()
        state.reserved_requests.add(message.request)
        self.messages.append(message)

    def turn(self):
        """As Celery's loop."""
        if self.qos.prev != self.qos.value:
            self.qos.update()
        try:
            self.connection.drain_events(timeout=0.01)
        except TimeoutError:
            pass

    def has(self, count):
        """Wait until it has so many that have not ended; never one more."""
        wait_until(lambda: self.turn() or len(self.messages) >= count, f"{count} messages")
        self.task_consumer.channel.queue_declare("work", passive=True)
        self.turn()
        assert len(self.messages) == count

    def end_tasks(self, allowance):
        """All that it has; whether there is more behind each."""
        has_more = []
        while self.messages:
            message = self.messages.pop()
            del message.request
            self.ended.append(message)
            has_more.append(allowance.wait())
        return has_more

    def acknowledge(self, allowance):
        """The commit is over."""
        allowance.end(len(self.ended))
        with redis_acks.together(message.channel for message in self.ended):
            for message in self.ended:
                message.ack()
        self.ended.clear()


@pytest.fixture
def connection(url):
    set_event_loop(None)
    with Connection(url) as made:
        yield made


@pytest.fixture
def worker(connection):
    return Worker(connection)


@pytest.fixture(autouse=True)
def nothing_is_reserved():
    state.reserved_requests.clear()
    yield
    state.reserved_requests.clear()


def test_the_next_ones_come_while_others_wait_and_never_more(worker):
    allowance = allowance_of(worker)
    worker.has(COUNT)

    for _ in range(4):
        worker.end_tasks(allowance)
        worker.has(COUNT)
    worker.acknowledge(allowance)

    worker.has(COUNT)
    assert worker.qos.value == COUNT, "Celery's own count stays"


def test_so_many_wait_and_not_more(worker):
    allowance = allowance_of(worker)
    worker.has(COUNT)

    for _ in range(8):
        assert worker.end_tasks(allowance) == [True] * COUNT
        worker.has(COUNT)
    assert worker.end_tasks(allowance) == [False] * COUNT
    worker.has(0)

    worker.acknowledge(allowance)
    worker.has(COUNT)


def test_no_limit_stays_none(worker):
    allowance = allowance_of(worker)
    allowance.wait()
    worker.qos.value = 0

    wait_until(lambda: worker.turn() or len(worker.messages) == MESSAGES, "all messages")
    assert not allowance.wait()


def test_a_server_that_has_no_more_to_give_is_told_nothing(rabbitmq_url):
    with Connection(rabbitmq_url) as connection:
        worker = Worker(connection)
        worker.has(COUNT)
        del worker.messages.pop().request

        worker.initial_prefetch_count = worker.qos.value = 10
        allowance = allowance_of(worker)

        assert not allowance.wait()


def test_the_count_of_a_quorum_queue_cannot_change(rabbitmq_url):
    with Connection(rabbitmq_url) as connection:
        worker = Worker(connection)
        worker.qos_global = False

        assert allowance_of(worker) is None


def test_acks_to_redis_are_one_round_trip(redis_url):
    with Connection(redis_url) as connection:
        worker = Worker(connection)
        worker.qos.value = 5
        worker.has(5)
        channel, acquired = worker.task_consumer.channel, []
        acquire = channel.conn_or_acquire
        channel.conn_or_acquire = lambda client=None: acquired.append(1) or acquire(client)

        with redis_acks.together(message.channel for message in worker.messages):
            for message in worker.messages:
                message.ack()

        assert len(acquired) == 1
        assert channel.client.hlen(channel.unacked_key) == 0
        assert channel.client.zcard(channel.unacked_index_key) == 0
        assert "ack" not in vars(channel.qos)


def test_what_redis_did_not_hear_comes_again(redis_url, caplog):
    with proxied(redis_url) as proxy:
        with Connection(proxy.url, transport_options={"socket_timeout": 5}) as connection:
            worker = Worker(connection)
            worker.has(COUNT)
            with redis_acks.together(message.channel for message in worker.messages):
                for message in worker.messages:
                    message.ack()
                proxy.refuse()
            proxy.come_back()
        assert "Couldn't ack" in caplog.text

    with Connection(redis_url) as connection:
        assert connection.default_channel.queue_declare("work", passive=True).message_count == MESSAGES


def test_one_client_serves_all_transactions_with_redis(redis_url):
    with Connection(redis_url) as connection:
        channel = connection.default_channel
        redis_acks.keep_client(channel)

        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()
