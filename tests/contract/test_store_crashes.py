"""Fault F9: what a crash of the server takes back of a worker's claims, the worker takes again."""

import pytest
from django.db import OperationalError, connections

from celeriac.broker import claims, presence
from celeriac.broker.settlements import Settlement, Verb
from celeriac.models import Message
from tests.broker import bodies, publish, rows


def forget_claims(alias):
    """What a crash does: claims that were not on the disk were never made."""
    Message.objects.using(alias).update(state=1, claimed_by=None, claim_token=None, deliveries=0)


def test_messages_in_hand_and_done_are_not_delivered_again(broker, reader):
    consumer = reader()
    publish(broker, "mails", "running", "done", "waiting")
    running, done = consumer.claim("mails", limit=2)
    # Done while the database was away: its ack is not written yet.
    held = consumer.deliveries._held.pop(f"{done.id}-{done.token}")
    consumer.deliveries._settlements.add("done", Settlement(Verb.ACK, held.pair))
    forget_claims(broker)
    consumer.deliveries.session.close()

    claimed = consumer.claim("mails")

    is_server = broker != "default"
    assert bodies(claimed) == (["waiting"] if is_server else ["running", "done", "waiting"])
    if is_server:
        assert not Message.objects.using(broker).filter(pk=done.id).exists()
        kept = Message.objects.using(broker).get(pk=running.id)
        assert (kept.claim_token, kept.deliveries) == (running.token, 1)
        consumer.ack(running)
        assert rows(broker) == 1


def test_what_another_worker_has_taken_meanwhile_stays_its_own(broker, reader):
    consumer, other = reader(), reader()
    publish(broker, "mails", "one")
    (running,) = consumer.claim("mails")
    forget_claims(broker)
    (taken,) = other.claim("mails")
    consumer.deliveries.session.close()

    assert consumer.claim("mails") == []

    assert Message.objects.using(broker).get(pk=running.id).claim_token == taken.token


def test_they_are_taken_again_also_where_the_first_try_is_in_vain(broker, reader, monkeypatch):
    if connections[broker].vendor == "sqlite":
        pytest.skip("a file forgets no claims")
    consumer = reader()
    publish(broker, "mails", "running", "waiting")
    (running,) = consumer.claim("mails", limit=1)
    forget_claims(broker)
    consumer.deliveries.session.close()
    tried, write = [], claims.write

    def in_vain_at_first(*arguments):
        tried.append(arguments)
        if len(tried) == 1:
            raise OperationalError("deadlock") from deadlock(broker)
        write(*arguments)

    monkeypatch.setattr(claims, "write", in_vain_at_first)
    # With a decision to write the claim is a transaction of several statements.
    consumer.deliveries._settlements.add("gone", Settlement(Verb.ACK, (0, 0)))

    assert bodies(consumer.claim("mails")) == ["waiting"]
    assert len(tried) == 2
    assert Message.objects.using(broker).get(pk=running.id).claim_token == running.token


def deadlock(broker):
    """The driver's own error."""
    if connections[broker].vendor == "mysql":
        return connections[broker].Database.OperationalError(1213, "Deadlock found")
    from psycopg import errors

    return errors.DeadlockDetected("deadlock detected")


def test_messages_that_were_claimed_ahead_are_taken_again_too(broker, reader):
    if connections[broker].vendor == "sqlite":
        pytest.skip("a file forgets no claims")
    consumer = reader()
    publish(broker, "mails", "ahead", "waiting")
    own = consumer.deliveries.claims
    ahead = own.claim(["mails"], 1)
    own._ahead.add(ahead, own._ahead.generation, presence.worker_id(broker), asked=1)
    forget_claims(broker)
    consumer.deliveries.session.close()

    assert bodies(own.claim(["mails"], 5)) == ["waiting"]
    assert Message.objects.using(broker).get(pk=ahead[0].id).claim_token == ahead[0].token
