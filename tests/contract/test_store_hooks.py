"""A declaration waits for the caller's commit, and whatever becomes of it, the commit stands."""

import sqlite3
from contextlib import closing

import pytest
from django.db import connections, transaction
from kombu import Exchange, Producer, Queue

from celeriac.models import Binding
from celeriac.models import Queue as QueueRow
from tests.broker import connect, noted, process_of_its_own, rows

TOPIC = Exchange("subjects", type="topic")
SPORT = Queue("sport", exchange=TOPIC, routing_key="sport.#")


def send_task(connection):
    Producer(connection.default_channel, exchange=TOPIC).publish(
        "body", routing_key="sport.tennis", declare=[SPORT], headers={"task": "shop.pay"}
    )


@pytest.fixture
def fails(monkeypatch):
    """Declarations that the database refuses, until the function is called."""
    from django.db import OperationalError

    from celeriac.broker.queries import routing

    def refuse(*_):
        raise OperationalError("no")

    with monkeypatch.context() as patch:
        patch.setattr(routing, "declare_queue", refuse)
        patch.setattr(routing, "bind", refuse)
        yield patch.undo


def test_a_declaration_that_fails_after_the_commit_leaves_the_callers_hooks_alone(
    connection, broker, fails, caplog
):
    ran = []
    with transaction.atomic(using=broker):
        send_task(connection)
        transaction.on_commit(lambda: ran.append("the caller's own"), using=broker)

    assert ran == ["the caller's own"]
    assert rows(broker, queue="sport") == 1
    assert "the next message or connection repeats it" in caplog.text


def test_a_binding_that_failed_after_the_commit_is_made_with_the_next_message(connection, broker, fails):
    with transaction.atomic(using=broker):
        send_task(connection)
    fails()

    send_task(connection)

    assert Binding.objects.using(broker).get().queue == "sport"
    assert rows(broker, queue="sport") == 2


def test_a_doorbell_that_cannot_be_rung_leaves_the_callers_hooks_alone(connection, broker, monkeypatch):
    def fail(_):
        raise PermissionError("not yours")

    monkeypatch.setattr("celeriac.broker.wakeup.bells.ring", fail)
    ran = []
    with transaction.atomic(using=broker):
        send_task(connection)
        transaction.on_commit(lambda: ran.append("the caller's own"), using=broker)

    assert ran == ["the caller's own"]


def test_a_queue_and_a_binding_that_are_known_are_not_written_again(connection, broker):
    SPORT(connection.default_channel).declare()

    with connect(broker) as other, noted(connections[broker]) as statements:
        SPORT(other.default_channel).declare()

    assert [sql for sql, _ in statements if not sql.startswith("SELECT")] == []
    assert QueueRow.objects.using(broker).count() == Binding.objects.using(broker).count() == 1


def test_a_declaration_after_the_commit_has_little_patience_with_a_busy_file(default_alias):
    def patience():
        return connections[default_alias].connection.execute("PRAGMA busy_timeout").fetchone()[0]

    def note(execute, sql, *rest):
        if "INTO celeriac_queue" in sql or "INTO celeriac_binding" in sql:
            seen.append(patience())
        return execute(sql, *rest)

    seen, ran = [], []
    database = connections[default_alias]
    with process_of_its_own(), connect(default_alias) as connection, database.execute_wrapper(note):
        other = sqlite3.connect(database.settings_dict["NAME"], isolation_level=None)
        database.ensure_connection()
        before = patience()
        with closing(other), transaction.atomic(using=default_alias):
            # Another process takes the lock between our commit and our declaration.
            transaction.on_commit(lambda: other.execute("BEGIN IMMEDIATE"), using=default_alias)
            send_task(connection)
            transaction.on_commit(lambda: ran.append("the caller's own"), using=default_alias)

        assert ran == ["the caller's own"]
        assert seen
        assert max(seen) <= 200 < before == patience()
        assert rows(default_alias, queue="sport") == 1
