"""Statements: how many each verb costs, however many messages it moves."""

import pytest
from django.db import connections, transaction

from celeriac.broker.store import Store
from celeriac.models import Message
from tests.broker import message, noted, publish

#: Statements of one call, transactions included. MariaDB and MySQL have no UPDATE … RETURNING: reading with a
#: lock and changing are two, in a transaction.
COSTS = {
    "sqlite": {"idle": 1, "claim": 2, "acks and claim": 5, "acks": 3, "publish": 1},
    "postgresql": {"idle": 1, "claim": 1, "acks and claim": 4, "acks": 3, "publish": 1},
    "mysql": {"idle": 3, "claim": 4, "acks and claim": 5, "acks": 3, "publish": 1},
}


@pytest.fixture
def cost(broker):
    return COSTS[connections[broker].vendor]


@pytest.mark.parametrize("queues", [["mails"], ["mails", "calls", "empty"]])
@pytest.mark.parametrize("messages", [1, 5, 50])
def test_the_cost_of_a_claim_grows_neither_with_messages_nor_queues(broker, reader, cost, messages, queues):
    publish(broker, "mails", *map(str, range(messages)))
    claiming = reader()
    claiming.claim("warm up")

    with noted(claiming.deliveries.session.connection()) as statements:
        claimed = claiming.claim(*queues, limit=100)

    assert len(claimed) == messages
    assert len(statements) == cost["claim"], statements


def test_an_idle_look_changes_nothing_and_costs_little(broker, reader, cost):
    claiming = reader()
    claiming.claim("warm up")

    with noted(claiming.deliveries.session.connection()) as statements:
        claiming.claim("mails")

    assert len(statements) == cost["idle"], statements
    if connections[broker].vendor == "sqlite":
        assert statements[0][0].startswith("SELECT"), "the file's write lock is for those who have work"


@pytest.mark.parametrize("messages", [1, 100])
def test_collected_acks_are_written_together(broker, reader, cost, messages):
    publish(broker, "mails", *map(str, range(messages)))
    claiming = reader()
    claimed = claiming.claim("mails")
    claiming.deliveries.nudge = lambda: None
    for each in claimed:
        claiming.ack(each)

    with noted(claiming.deliveries.session.connection()) as statements:
        claiming.deliveries.flush()

    assert len(statements) == cost["acks"], statements


def test_collected_acks_are_written_with_the_next_claim(broker, reader, cost):
    publish(broker, "mails", *map(str, range(20)))
    claiming = reader()
    claimed = claiming.claim("mails", limit=10)
    claiming.deliveries.nudge = lambda: None
    for each in claimed:
        claiming.ack(each)

    with noted(claiming.deliveries.session.connection()) as statements:
        claiming.claim("mails", limit=10)

    assert len(statements) == cost["acks and claim"], statements
    assert Message.objects.using(broker).count() == 10


def test_publishing_to_a_declared_queue_in_a_transaction_is_one_statement(broker, cost):
    store = Store(broker)
    store.declare_queue("mails", None)
    with transaction.atomic(using=broker):
        with noted(connections[broker]) as statements:
            store.publish("mails", message())
        assert len(statements) == cost["publish"], statements
