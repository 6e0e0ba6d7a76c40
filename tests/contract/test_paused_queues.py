"""Pausing is a part of the caller's transaction, and a worker comes back to what it left."""

import pytest
from django.db import OperationalError, transaction
from kombu import Queue

from celeriac import control
from celeriac.app import get_app
from celeriac.broker import paused as paused_queues
from celeriac.database.complaints import Complaints
from celeriac.models import PausedQueue
from celeriac.worker import paused
from tests.results import results_in


class Consumer:
    """What a look has of Celery's consumer: its queues, and which of them it takes from."""

    def __init__(self, app, *names):
        self.app = app
        app.amqp.queues = app.amqp.Queues([Queue(name) for name in names])
        self.left, self.taken = [], []

    def cancel_task_queue(self, name):
        self.app.amqp.queues.deselect(name)
        self.left.append(name)

    def add_task_queue(self, name):
        self.taken.append(name)


@pytest.fixture
def consumer(alias, monkeypatch):
    app = get_app()
    monkeypatch.setattr(paused, "_left", set())
    monkeypatch.setattr(paused, "_complaints", Complaints(paused.logger))
    with results_in(alias):
        yield Consumer(app, "celery", "mails", "post")
    del app.amqp.queues


def test_a_worker_leaves_what_is_paused_and_comes_back(consumer):
    control.pause("mails", "elsewhere")
    paused.look(consumer)
    paused.look(consumer)
    assert (consumer.left, sorted(consumer.app.amqp.queues.consume_from)) == (["mails"], ["celery", "post"])

    control.resume("mails")
    paused.look(consumer)
    paused.look(consumer)
    assert consumer.taken == ["mails"]
    # The next connection takes from these.
    assert sorted(consumer.app.amqp.queues.consume_from) == ["celery", "mails", "post"]
    assert control.paused() == ["elsewhere"]


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


def test_without_the_database_a_worker_stays_where_it_is(consumer, monkeypatch, caplog):
    def away(_alias):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(paused_queues, "names", away)
    paused.look(consumer)

    assert consumer.left == []
    assert "Which queues are paused cannot be read now: server closed" in caplog.text
