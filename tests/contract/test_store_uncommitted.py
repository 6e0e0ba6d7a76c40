"""What somebody publishes in a transaction that is still open makes nobody else wait.

MariaDB reads a small table as a whole where it thinks that cheaper than an index, and then locks, or waits
for, rows that have nothing to do with the statement: an ack waited for a publisher, who waited for the
worker's results, and the publisher's transaction ended with a deadlock.
"""

from contextlib import contextmanager

import pytest
from django.db import connections, transaction

from celeriac.broker.queries import outbox, queries_for
from celeriac.broker.queries.mysql import MysqlQueries
from celeriac.broker.store import Store
from celeriac.models import Message, Outbox
from tests.broker import Stranger, in_thread, message, publish, rows

COUNT = 6


@pytest.fixture
def claimed(broker, reader):
    """Messages that a consumer holds: all that is in the table."""
    if connections[broker].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    if connections[broker].vendor == "mysql":
        # What the server believes to be in an empty table is what makes it read all of it.
        with connections[broker].cursor() as cursor:
            cursor.execute("ANALYZE TABLE celeriac_message, celeriac_outbox")
    publish(broker, "mails", *map(str, range(COUNT)))
    claiming = reader()
    return claiming, claiming.claim("mails")


@contextmanager
def published_in_open_transaction(alias, queue="mails"):
    """One more message, in a transaction that ends in order, with the row of an outbox."""
    with transaction.atomic(using=alias):
        Store(alias).publish(queue, message("open"))
        Outbox.objects.using(alias).create(task_id="open", task_name="shop.pay", payload="{}")
        yield


def in_the_meantime(alias, work):
    """Do it in another thread, which would wait for longer than the test does."""
    with published_in_open_transaction(alias):
        return in_thread(work)


@pytest.mark.parametrize("verb", ["ack", "release", "requeue", "bury"])
def test_what_is_settled_together_waits_for_no_publisher(broker, claimed, verb):
    _, held = claimed
    pairs = [(each.id, each.token) for each in held]
    words = ["unreadable", 0] if verb == "bury" else []

    def settle():
        with transaction.atomic(using=broker):
            return getattr(queries_for(connections[broker]), verb)(connections[broker], pairs, *words)

    assert in_the_meantime(broker, settle) == COUNT


def test_a_claim_waits_for_no_publisher_and_takes_nothing_of_it(broker, claimed, stranger):
    claiming, held = claimed
    claiming.release(*held)
    claiming.deliveries.flush()

    taken = in_the_meantime(broker, lambda: stranger().claim("mails"))

    assert len(taken) == COUNT
    assert rows(broker, state=1) == 1


def test_a_purge_waits_for_no_publisher_and_leaves_what_is_not_committed(broker, claimed):
    claiming, held = claimed
    claiming.release(*held)
    claiming.deliveries.flush()

    assert in_the_meantime(broker, lambda: Store(broker).purge("mails")) == COUNT

    assert rows(broker) == 1


def test_a_purge_leaves_nothing_where_others_claim_what_it_has_found(broker, claimed, stranger, monkeypatch):
    claiming, held = claimed
    claiming.release(*held)
    claiming.deliveries.flush()
    queries = queries_for(connections[broker])
    if not isinstance(queries, MysqlQueries):
        pytest.skip("Found and deleted by one statement.")
    look, taken = queries._waiting, []

    def beside_others(*asked):
        found = look(*asked)
        if not taken:
            taken.extend(stranger().claim("mails", limit=COUNT // 2))
            publish(broker, "mails", "later")
        return found

    monkeypatch.setattr(queries, "_waiting", beside_others)

    assert Store(broker).purge("mails") == COUNT // 2 + 1

    assert len(taken) == COUNT // 2
    assert rows(broker, state=1) == 0


def test_the_end_of_a_worker_waits_for_no_publisher(broker, claimed):
    with published_in_open_transaction(broker):
        stranger = Stranger(broker)
        try:
            in_thread(lambda: stranger.session.run(restore(stranger.worker)))
        finally:
            stranger.close()


def restore(worker):
    from celeriac.broker.queries import restoring

    def work(connection, _):
        restoring.restore(connection, worker, 1)
        restoring.restore_orphans(connection)
        restoring.undo_claim(connection, worker, 1)

    return work


def test_due_messages_wait_for_no_publisher(broker, claimed):
    claiming, held = claimed
    claiming.release(*held)
    claiming.deliveries.flush()
    with transaction.atomic(using=broker):
        later(broker)
        promoted = in_thread(lambda: queries_for(connections[broker]).promote(connections[broker], 10))
        assert promoted == 0
    later(broker)

    assert queries_for(connections[broker]).promote(connections[broker], 10) == COUNT


def later(alias):
    """Messages that were due long ago, and one more that is being written."""
    Message.objects.using(alias).filter(queue="mails").update(state=0, available_at=1)


@pytest.mark.parametrize("by", ["id", "place"])
def test_what_an_outbox_has_sent_waits_for_no_publisher(broker, claimed, by):
    sent = Outbox.objects.using(broker)
    row = {"task_name": "shop.pay", "payload": "{}", "holder": 1}
    sent.bulk_create(Outbox(task_id=str(number), place=number, **row) for number in range(COUNT))
    ids = list(sent.values_list("id", flat=True))

    def forget():
        if by == "id":
            return outbox.forget(connections[broker], 1, ids)
        return outbox.forget_places(connections[broker], 1, COUNT)

    assert in_the_meantime(broker, forget) == COUNT
    assert sent.count() == 1
