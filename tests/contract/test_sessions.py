"""Our own connections: what their errors are, how long they wait, and what they need of the settings."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from django.db import Error, OperationalError, connections

from celeriac.broker import caller
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import patience
from celeriac.broker.session import BrokerSession
from celeriac.database import busy, failures
from celeriac.database.session import Session
from celeriac.models import Queue
from tests.broker import unreachable


def test_a_database_that_refuses_the_connection_raises_an_error_of_djangos(alias):
    with unreachable(alias) as name, closing(Session(name)) as refused:
        with pytest.raises(Error) as caught:
            refused.run(lambda _: None)

        assert failures.is_lost(caught.value)


def test_a_broker_that_refuses_the_connection_is_a_lost_one(alias):
    with unreachable(alias) as name, closing(BrokerSession(name)) as refused:
        with pytest.raises(BrokerConnectionLost):
            refused.run(lambda *_: None)
        with pytest.raises(BrokerConnectionLost):
            refused.connection()


def test_a_connection_that_cannot_be_tuned_is_not_used(alias, monkeypatch):
    def fail(_):
        raise OperationalError("on purpose")

    with closing(Session(alias)) as made:
        monkeypatch.setattr("celeriac.database.transactions.tune", fail)
        with pytest.raises(OperationalError, match="on purpose"):
            made.connection()
        tuned = []
        monkeypatch.setattr("celeriac.database.transactions.tune", tuned.append)

        assert tuned == [made.connection()]


@pytest.fixture
def locked(default_alias):
    """The SQLite file while another process writes for a long time."""
    name = connections[default_alias].settings_dict["NAME"]
    with closing(sqlite3.connect(name, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield default_alias
        writer.execute("ROLLBACK")


@pytest.fixture
def clock(monkeypatch):
    """The clock of the sessions, which goes on by half a second at each look, and by each pause."""
    made = SimpleNamespace(now=0.0, pauses=0)

    def monotonic():
        made.now += 0.5
        return made.now

    def sleep(seconds):
        made.pauses += 1
        made.now += seconds

    monkeypatch.setattr(busy, "time", SimpleNamespace(monotonic=monotonic, sleep=sleep))
    return made


def test_a_locked_database_is_waited_for_by_the_clock_and_not_by_a_count(locked, clock):
    with closing(BrokerSession(locked)) as patient, pytest.raises(BrokerRefused, match="locked"):
        patient.run(lambda *_: None)

    assert 10 < clock.now < 12
    assert clock.pauses > 5


def test_whoever_publishes_waits_by_the_same_clock(locked, clock):
    def write():
        with patience.little(connections[locked]):
            Queue.objects.using(locked).create(name="mails")

    with pytest.raises(OperationalError, match="locked"):
        caller.outside_of_transactions(locked, write)

    assert 10 < clock.now < 13
    assert clock.pauses < 20


def test_an_event_loop_does_not_wait_for_a_locked_database(locked, clock):
    with closing(BrokerSession(locked)) as hurried:
        hurried.hurry()
        with pytest.raises(BrokerRefused, match="locked"):
            hurried.run(lambda *_: None)

    assert clock.pauses == 0


def test_no_statement_of_ours_waits_long_for_a_lock(default_alias):
    with closing(Session(default_alias)) as made, made.connection().cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")

        assert cursor.fetchone()[0] <= 100


def test_our_own_transactions_are_ours_where_the_project_commits_by_hand(alias, monkeypatch):
    monkeypatch.setitem(connections.settings[alias], "AUTOCOMMIT", False)

    with closing(Session(alias)) as made:
        made.run(lambda _: None)

        assert made.connection().get_autocommit()
