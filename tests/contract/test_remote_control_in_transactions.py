"""Who asks the workers inside of a transaction is answered there, or told at once why that cannot be."""

import json
from contextlib import suppress

import pytest
from django.db import connections, transaction
from kombu.pidbox import Mailbox

from celeriac.errors import HeldByTransaction
from celeriac.models import Binding, Broadcast, Message
from tests.broker import in_threads, rows

MAILBOX = Mailbox("control", type="fanout", accept=["json"])


@pytest.fixture
def said(connection):
    """What the worker was told; it listens on `connection`."""
    words = []
    node = MAILBOX.Node("one", channel=connection.channel())

    @node.handler
    def say(_state, word):
        words.append(word)
        return f"heard {word}"

    node.listen()
    return words


def ask(connection, **options):
    return MAILBOX(connection)._broadcast("say", {"word": "hello"}, limit=1, timeout=10, **options)


def answered(connection, said, asking):
    """What `asking` returns while the worker listens, without its own thread's connections."""

    def listen():
        while not said and not is_over:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.05)

    def in_turn():
        try:
            return asking()
        finally:
            is_over.append(True)

    is_over = []
    return in_threads([in_turn, listen])[0]


def test_a_worker_answers_inside_of_a_transaction(connection, elsewhere, said, broker):
    def asking():
        # Without the mode that README advises on SQLite, BEGIN takes no lock.
        connections[broker].ensure_connection()
        connections[broker].transaction_mode = None
        with transaction.atomic(using=broker):
            if connections[broker].vendor != "sqlite":  # This file is not in WAL mode, a worker's is.
                list(Message.objects.using(broker).all())
            return ask(elsewhere, reply=True)

    assert answered(connection, said, asking) == [{"one": "heard hello"}]


def test_a_worker_answers_with_autocommit_off(connection, elsewhere, said, broker):
    def asking():
        transaction.set_autocommit(False, using=broker)
        try:
            return ask(elsewhere, reply=True)
        finally:
            transaction.rollback(using=broker)

    assert answered(connection, said, asking) == [{"one": "heard hello"}]


def test_a_worker_answers_in_a_transaction_that_has_written(connection, elsewhere, said, broker):
    if connections[broker].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time; the next test is about it.")

    def asking():
        with transaction.atomic(using=broker):
            _write(broker)
            reply = ask(elsewhere, reply=True)
            transaction.set_rollback(True, using=broker)
            return reply

    assert answered(connection, said, asking) == [{"one": "heard hello"}]
    assert rows(broker) == 0
    # The reply queue is deleted, although the transaction was rolled back.
    assert not Binding.objects.using(broker).filter(queue__contains=".reply.").exists()


@pytest.mark.parametrize("mode", [None, "IMMEDIATE"])
def test_on_sqlite_a_transaction_that_holds_the_lock_is_told_at_once(
    connection, elsewhere, said, broker, monkeypatch, mode
):
    if connections[broker].vendor != "sqlite":
        pytest.skip("Only SQLite has one lock for everything.")
    monkeypatch.setattr(connections[broker], "transaction_mode", mode)

    with transaction.atomic(using=broker):
        _write(broker)
        with pytest.raises(HeldByTransaction, match="inside of this transaction") as told:
            ask(elsewhere, reply=True)

    assert "\n" not in str(told.value)
    assert rows(broker) == 1


def test_what_nobody_waits_for_belongs_to_the_transaction(connection, elsewhere, said, broker):
    for is_kept in (False, True):
        with transaction.atomic(using=broker):
            _write(broker)
            ask(elsewhere, reply=False)
            transaction.set_rollback(not is_kept, using=broker)

        told = [
            json.loads(json.loads(each.payload)["body"]) for each in Broadcast.objects.using(broker).all()
        ]
        assert [each["method"] for each in told] == ["say"] * is_kept


def test_what_is_asked_outside_of_a_transaction_opens_no_other_session(elsewhere, said, broker, monkeypatch):
    monkeypatch.setattr("celeriac.broker.apart.Session", None)

    MAILBOX(elsewhere)._publish("say", {"word": "hello"}, reply_ticket="1", channel=elsewhere.default_channel)

    assert Broadcast.objects.using(broker).count() == 1
    assert Binding.objects.using(broker).filter(queue__contains=".reply.").count() == 2


def _write(alias):
    Message.objects.using(alias).create(queue="mine", available_at=0, published_at=0, payload="{}")
