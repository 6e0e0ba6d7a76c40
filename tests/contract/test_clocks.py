"""Fault F16: the clock of a worker's host is wrong; when a task is due says the database."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings

from celeriac.broker import clock
from celeriac.broker.database_clock import DatabaseClock
from celeriac.broker.errors import BrokerConnectionLost
from celeriac.broker.left_out import LeftOut
from celeriac.broker.locks import SessionLock
from celeriac.broker.queries import clocks
from celeriac.broker.queries.routing import Bound
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.broker.store import Store
from celeriac.models import Binding, DeadLetter, Message
from tests.broker import message
from tests.broker import wait_until as wait


@pytest.fixture
def channel(connection):
    return connection.default_channel


def publish_due_soon(broker, channel):
    eta = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    channel.store.publish("mails", message(headers={"eta": eta, "id": "a", "task": "t"}))
    return eta


def received(channel):
    channel.connection.deliveries.promote_due(["mails"])
    return channel.basic_get("mails")


def test_a_task_is_not_held_again_where_the_clock_is_behind(broker, channel, monkeypatch):
    publish_due_soon(broker, channel)
    if broker == "default":
        # SQLite has no clock of its own: by the host's it becomes due, and then that is turned back.
        wait(lambda: channel.connection.deliveries.promote_due(["mails"]).promoted, "it is due")
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() - clock.seconds(3600))

    found = wait(lambda: received(channel), "it is due by the database's clock")

    assert found.headers["eta"] is None


def test_a_clock_that_is_ahead_makes_no_task_early(broker, channel, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    eta = publish_due_soon(broker, channel)
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + clock.seconds(3600))

    found = wait(lambda: received(channel), "it is due by the database's clock")

    assert datetime.now(UTC) >= datetime.fromisoformat(eta)
    assert found.headers["eta"] == eta
    assert Message.objects.using(broker).count() == 1


def test_a_clock_that_is_ahead_ends_no_message_early(broker, channel, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    channel.store.publish("mails", message(expiration="60000"))
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + clock.seconds(3600))

    assert channel.basic_get("mails") is not None


def test_a_clock_that_is_ahead_gives_up_no_unknown_task_early(broker, reader, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    worker, now = reader(), clock.now
    left_out = LeftOut(worker.deliveries)
    left_out.meet("0", "shop.new", ["shop.pay"])
    Store(broker).publish("mails", message(headers={"task": "shop.new", "id": "a"}))
    monkeypatch.setattr(clock, "now", lambda: now() + clock.seconds(3600))
    monkeypatch.setattr(left_out, "_since", {"shop.new": time.monotonic() - 3600})

    with override_settings(CELERIAC={"UNKNOWN_TASK_SECONDS": 60}):
        left_out.look(["mails"], ["shop.pay"])

    assert not DeadLetter.objects.using(broker).exists()


def test_the_databases_clock_goes_on_while_it_is_away(broker, reader, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    session = reader().deliveries.session
    known, unknown = DatabaseClock(session), DatabaseClock(session)
    before = known.now()

    def away(*_, **__):
        raise BrokerConnectionLost

    monkeypatch.setattr(session, "run", away)

    assert unknown.now() is None
    assert before < known.now() < before + clock.seconds(10)


def test_the_databases_clock_is_never_ahead_of_it(broker, reader, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    session, now = reader().deliveries.session, clock.now
    kept = DatabaseClock(session)
    kept.now()
    monkeypatch.setattr(clock, "now", lambda: now() + clock.seconds(3600))

    for age in (60.0, 0.0):
        told = kept.now(age)
        assert told <= session.run(clocks.now, atomic=False)


def test_a_clock_that_is_ahead_ends_no_reader_of_remote_control(broker, reader, monkeypatch):
    if broker == "default":
        pytest.skip("SQLite's clock is the host's.")
    now = clock.now
    expires_at = now() + clock.seconds(60)
    Store(broker).bind(Bound("control", "fanout", "", "mine", is_transient=True, expires_at=expires_at))
    monkeypatch.setattr(clock, "now", lambda: now() + clock.seconds(3600))
    session = BrokerSession(broker)

    Reaper(session, SessionLock(session), "here").sweep()

    assert Binding.objects.using(broker).filter(queue="mine").exists()
    session.close()


def test_a_clock_that_jumps_back_keeps_no_route_for_longer(broker, monkeypatch):
    store, other, now, monotonic = Store(broker), Store(broker), clock.now, time.monotonic
    assert store.bindings("subjects") == []
    other.bind(Bound("subjects", "direct", "mail", "mails", is_transient=False, expires_at=None))
    monkeypatch.setattr(clock, "now", lambda: now() - clock.seconds(3600))
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 2)

    assert [each.queue for each in store.bindings("subjects")] == ["mails"]
