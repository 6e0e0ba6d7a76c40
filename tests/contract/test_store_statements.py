"""Statements: how many each verb costs, however many messages it moves, and that an index serves each."""

import pytest
from django.db import connections, transaction

from celeriac.broker import clock
from celeriac.broker.store import Store
from celeriac.models import Message, MessageState
from tests.broker import message, noted, publish

#: Statements of one call, transactions included. MariaDB and MySQL have no UPDATE … RETURNING: the worker's
#: row, the lock on the soonest rows, the change and the reading are four, in a transaction.
COSTS = {
    "sqlite": {"idle": 1, "claim": 2, "acks and claim": 5, "acks": 3, "publish": 1},
    "postgresql": {"idle": 1, "claim": 1, "acks and claim": 4, "acks": 3, "publish": 1},
    "mysql": {"idle": 4, "claim": 6, "acks and claim": 7, "acks": 3, "publish": 1},
}
#: What reads or changes every row of the table, or sorts it, in the words of each database.
SLOW = {
    "sqlite": ("SCAN celeriac_message",),
    "postgresql": ("Seq Scan on celeriac_message",),
    "mysql": ("type=ALL", "filesort"),
}


@pytest.fixture
def cost(broker):
    return COSTS[connections[broker].vendor]


@pytest.mark.parametrize("messages", [1, 5, 50])
def test_the_cost_of_a_claim_does_not_grow_with_its_messages(broker, reader, cost, messages):
    publish(broker, "mails", *map(str, range(messages)))
    claiming = reader()
    claiming.claim("warm up")

    with noted(claiming.deliveries.session.connection()) as statements:
        claimed = claiming.claim("mails", limit=100)

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


def test_no_statement_reads_or_sorts_the_whole_table(broker, reader, stranger):
    connection = connections[broker]
    vendor = connection.vendor
    fill(broker, stranger().worker)
    claiming = reader()
    claiming.claim("warm up")
    deliveries = claiming.deliveries

    with noted(deliveries.session.connection()) as claims:
        claimed = claiming.claim("mails", "calls", "empty", limit=10)
    pairs = [(each.id, each.token) for each in claimed]
    works = {
        "ack": lambda its, queries: queries.ack(its, pairs[:3]),
        "release": lambda its, queries: queries.release(its, pairs[3:6]),
        "requeue": lambda its, queries: queries.requeue(its, pairs[6:8]),
        "bury": lambda its, queries: queries.bury(its, pairs[8:], "over", clock.now()),
        "next_due": lambda its, queries: queries.next_due(its, ["mails"], clock.now()),
        "promote": lambda its, queries: queries.promote(its, clock.now()),
        "restore": lambda its, queries: queries.restore(its, 123456),
    }
    plans = {"claim": explained(connection, claims)}
    for name, work in works.items():
        with noted(deliveries.session.connection()) as statements:
            deliveries.session.run(work)
        plans[name] = explained(connection, statements)

    slow = {name: plan for name, plan in plans.items() if any(word in plan for word in SLOW[vendor])}
    assert not slow, "\n\n".join(slow.values())
    assert len(claimed) == 10
    assert "celeriac_message_next" in plans["claim"]
    assert "celeriac_message_due" in plans["promote"]


def fill(alias, holder):
    """20,000 messages: most are ready, in two queues; the others are delayed or claimed."""
    kinds = [
        ("mails", MessageState.READY, None),
        ("mails", MessageState.READY, None),
        ("calls", MessageState.READY, None),
        ("mails", MessageState.DELAYED, None),
        ("calls", MessageState.CLAIMED, holder),
    ]
    hour = clock.seconds(3600)
    Message.objects.using(alias).bulk_create(
        (
            Message(
                queue=queue,
                state=state,
                claimed_by=claimed_by,
                turn=number % 10,
                available_at=clock.now() + hour,
                published_at=clock.now(),
                payload="{}",
            )
            for number in range(4000)
            for queue, state, claimed_by in kinds
        ),
        batch_size=80,
    )
    with connections[alias].cursor() as cursor:
        cursor.execute("ANALYZE TABLE celeriac_message" if cursor.db.vendor == "mysql" else "ANALYZE")


def explained(connection, statements):
    """How the database would do each of the statements that touch messages."""
    lines = []
    prefix = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        for sql, params in statements:
            if "celeriac_message" not in sql:
                continue
            cursor.execute(f"{prefix} {sql}", params)
            names = [column[0] for column in cursor.description]
            rows = [zip(names, row, strict=True) for row in cursor.fetchall()]
            lines += [" ".join(f"{name}={value}" for name, value in row) for row in rows]
    return "\n".join(lines)
