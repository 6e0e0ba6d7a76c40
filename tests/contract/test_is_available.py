"""`celeriac.is_available()`: whether a worker would run what is sent now, in one query."""

import asyncio
import time

import pytest
from django.db import connections
from django.test import override_settings

import celeriac
from celeriac.broker import presence
from celeriac.health import available
from celeriac.models import PausedQueue, Worker
from tests.broker import unreachable, wait_until
from tests.databases import told_of_statements
from tests.results import make_app, results_in


@pytest.fixture
def app(broker, monkeypatch):
    with results_in(broker):
        yield _used(monkeypatch, broker_url=f"django://{broker}")


def _used(monkeypatch, **conf):
    made = make_app(**conf)
    monkeypatch.setattr(available, "get_app", lambda: made)
    return made


@pytest.fixture
def worker(app, broker):
    """A worker for two queues, that has said so."""
    made = presence.presence_for(broker, "one@here")
    made.describe("prefork", 4, ["mails", "calls"])
    return made


def test_a_worker_that_lives_is_available_for_its_queues(worker):
    assert celeriac.is_available()
    assert celeriac.is_available("calls")
    assert not celeriac.is_available("call")


def test_nobody_is_available_where_there_is_no_worker(app):
    assert not celeriac.is_available()


def test_a_script_that_reads_a_queue_with_kombu_is_no_worker(app, broker):
    presence.worker_id(broker)

    assert not celeriac.is_available()


def test_a_worker_counts_no_more_when_three_heartbeats_are_missing(worker, broker, monkeypatch):
    # Its own thread would beat on.
    worker._ended.set()
    worker._thread.join()
    row = Worker.objects.using(broker)
    beaten_at = row.get().beaten_at

    row.update(beaten_at=beaten_at - 14_000_000)
    assert celeriac.is_available()

    row.update(beaten_at=beaten_at - 16_000_000)
    assert not celeriac.is_available()


def test_a_worker_that_is_lost_is_not_available(worker, broker):
    Worker.objects.using(broker).update(is_lost=True)

    assert not celeriac.is_available()


def test_nobody_is_available_for_a_paused_queue(worker, broker):
    PausedQueue.objects.using(broker).create(name="mails")

    assert not celeriac.is_available("mails")
    assert celeriac.is_available("calls")


def test_what_remote_control_adds_is_known_with_the_next_heartbeat(worker, broker):
    with override_settings(CELERIAC={"HEARTBEAT_SECONDS": 0.01}):
        worker.taken_from = lambda: ["calls", "letters"]

        wait_until(lambda: celeriac.is_available("letters"), "the new queue is written down")

    assert not celeriac.is_available("mails")


def test_it_is_one_query_and_takes_less_than_5_ms(worker, broker):
    celeriac.is_available()
    seen = []
    with told_of_statements(connections[broker], lambda sql, _: seen.append(sql)):
        took = min(_seconds() for _ in range(20))

    assert len(seen) == 20
    assert took < 0.005


def _seconds():
    begun = time.perf_counter()
    assert celeriac.is_available()
    return time.perf_counter() - begun


def test_it_can_be_asked_in_asynchronous_code(worker):
    async def ask():
        return celeriac.is_available()

    assert asyncio.run(ask())


def test_nobody_is_available_behind_a_database_that_does_not_answer(broker, monkeypatch):
    with unreachable(broker) as there:
        _used(monkeypatch, broker_url=f"django://{there}")

        assert not celeriac.is_available()


def test_without_any_presence_workers_are_asked(monkeypatch):
    made = _used(monkeypatch, broker_url="memory://")
    made.conf.result_backend = made.backend_cls = "cache+memory://"
    replies = [{"one@here": [{"name": "mails"}]}]
    monkeypatch.setattr(made.control, "broadcast", lambda *_, **__: replies)

    assert celeriac.is_available()
    assert celeriac.is_available("mails", timeout=0.1)
    assert not celeriac.is_available("calls", timeout=0.1)

    replies.clear()
    assert not celeriac.is_available()
