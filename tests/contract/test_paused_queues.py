"""Pausing is a part of the caller's transaction, and a worker comes back to what it left."""

import asyncio

import celery.worker.consumer
import kombu
import pytest
from django.db import connections, transaction

from celeriac import control
from celeriac.app import get_app
from celeriac.models import PausedQueue
from celeriac.worker import paused
from tests.results import results_in


class Consumer:
    """What obeying needs of Celery's consumer."""

    cancel_task_queue = celery.worker.consumer.Consumer.cancel_task_queue
    add_task_queue = celery.worker.consumer.Consumer.add_task_queue

    def __init__(self, app, channel):
        self.app = app
        self.begin(channel)

    def begin(self, channel):
        """As after each connection."""
        taken = list(self.app.amqp.queues.consume_from.values())
        self.task_consumer = kombu.Consumer(channel, taken, on_message=lambda _: None)

    @property
    def taken(self):
        return sorted(queue.name for queue in self.task_consumer.queues)

    def consumes(self, name):
        return bool(self.task_consumer.consuming_from(name))


@pytest.fixture
def channel():
    with kombu.Connection("memory://") as connection:
        yield connection.channel()


@pytest.fixture
def consumer(alias, channel, monkeypatch):
    app = get_app()
    monkeypatch.setattr(paused, "_left", set())
    app.amqp.queues = app.amqp.Queues([kombu.Queue(name) for name in ("celery", "mails", "post")])
    with results_in(alias):
        yield Consumer(app, channel)
    del app.amqp.queues


@pytest.mark.parametrize("is_looping", [True, False])
def test_a_worker_leaves_what_is_paused_and_comes_back(consumer, channel, is_looping):
    if is_looping:
        consumer.task_consumer.consume()

    paused.obey(consumer, {"mails", "elsewhere"}, is_looping=is_looping)
    paused.obey(consumer, {"mails", "elsewhere"}, is_looping=is_looping)
    assert consumer.taken == ["celery", "post"]
    assert not consumer.consumes("mails")
    consumer.begin(channel)
    assert consumer.taken == ["celery", "post"], "nor with its next connection"

    paused.obey(consumer, set(), is_looping=is_looping)
    assert consumer.taken == ["celery", "mails", "post"]
    assert bool(consumer.consumes("mails")) is is_looping, "before the loop nobody would take its messages"
    consumer.begin(channel)
    assert consumer.taken == ["celery", "mails", "post"]


def test_a_queue_that_a_worker_only_sends_to_stays_so(consumer, channel):
    consumer.app.amqp.queues.select(["celery", "mails"])
    consumer.begin(channel)

    paused.obey(consumer, {"post"}, is_looping=False)
    paused.obey(consumer, set(), is_looping=False)

    assert consumer.taken == ["celery", "mails"]


def test_a_queue_that_was_added_while_it_is_paused_is_left_again(consumer):
    consumer.task_consumer.consume()
    paused.obey(consumer, {"mails"}, is_looping=True)
    consumer.add_task_queue("mails")

    paused.obey(consumer, {"mails"}, is_looping=True)

    assert not consumer.consumes("mails")


def test_a_worker_comes_back_although_leaving_failed(consumer, channel, monkeypatch):
    def fail(_name):
        raise OSError("connection reset")

    monkeypatch.setattr(consumer, "cancel_task_queue", fail)
    with pytest.raises(OSError, match="reset"):
        paused.obey(consumer, {"mails"}, is_looping=True)
    consumer.begin(channel)
    paused.obey(consumer, {"mails"}, is_looping=False)
    assert consumer.taken == ["celery", "post"]

    paused.obey(consumer, set(), is_looping=False)
    assert consumer.taken == ["celery", "mails", "post"]


def test_a_pause_that_is_rolled_back_was_none(consumer, alias):
    with transaction.atomic(using=alias):
        control.pause("mails")
        assert control.paused() == ["mails"]
        transaction.set_rollback(True, using=alias)

    assert control.paused() == []


def test_pausing_twice_is_pausing_once(consumer, alias):
    control.pause("mails")
    control.pause("mails", "Mails")

    assert PausedQueue.objects.using(alias).count() == 2


def test_workers_are_told_when_the_pause_can_be_seen(consumer, alias, monkeypatch):
    told = []
    monkeypatch.setattr(control, "_tell", lambda: told.append(control.paused()))

    with transaction.atomic(using=alias):
        control.pause("mails")
        assert told == []

    assert told == [["mails"]]


def test_without_autocommit_the_pause_is_the_callers_to_commit(consumer, alias):
    connections[alias].ensure_connection()
    connections[alias].set_autocommit(False)
    try:
        control.pause("mails")
        connections[alias].rollback()
        assert control.paused() == []
    finally:
        connections[alias].rollback()
        connections[alias].set_autocommit(True)


def test_an_async_view_may_pause(consumer):
    async def view():
        control.pause("mails")
        return control.paused()

    assert asyncio.run(view()) == ["mails"]
