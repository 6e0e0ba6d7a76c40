"""Claiming: each message to one consumer, in order, and to none that is held for lost."""

from collections import Counter
from itertools import chain

import pytest
from django.db import transaction

from celeriac.broker.store import Store
from celeriac.models import Message, MessageState, Worker
from tests.broker import bodies, in_thread, in_threads, message, publish, rows


def test_messages_come_by_priority_then_by_age(broker, reader):
    for body, priority in (("a", 0), ("b", 5), ("c", 9), ("d", 5), ("e", None), ("f", 200), ("g", -3)):
        publish(broker, "mails", body, priority=priority)

    assert bodies(reader().claim("mails")) == ["c", "f", "b", "d", "a", "e", "g"]


def test_priority_and_age_count_across_queues(broker, reader):
    for queue, body, priority in (("b", "1", 0), ("a", "2", 0), ("b", "3", 4), ("a", "4", 9), ("c", "5", 9)):
        publish(broker, queue, body, priority=priority)

    assert bodies(reader().claim("a", "b")) == ["4", "3", "1", "2"]


def test_the_limit_takes_the_soonest(broker, reader):
    publish(broker, "a", "1", "2", "3")
    publish(broker, "b", "4", "5", priority=1)
    claiming = reader()

    assert bodies(claiming.claim("a", "b", limit=3)) == ["4", "5", "1"]
    assert bodies(claiming.claim("a", "b", limit=1)) == ["2"]
    assert bodies(claiming.claim("a", "b", limit=3)) == ["3"]
    assert claiming.claim("a", "b") == []


def test_only_the_named_queues_are_claimed(broker, reader):
    publish(broker, "a", "1")

    assert reader().claim("b", "c") == []
    assert rows(broker, state=MessageState.READY) == 1


def test_a_claimed_message_is_not_claimed_again(broker, reader):
    publish(broker, "mails", "one")
    first, second = reader(), reader()

    assert bodies(first.claim("mails")) == ["one"]
    assert second.claim("mails") == []


def test_a_claim_says_who_has_the_message_and_how_often_it_was_delivered(broker, reader):
    publish(broker, "mails", "one")

    [claimed] = reader().claim("mails")

    stored = Message.objects.using(broker).get()
    worker = Worker.objects.using(broker).get()
    assert (stored.state, stored.claimed_by, stored.deliveries) == (MessageState.CLAIMED, worker.pk, 1)
    assert (stored.claim_token, claimed.deliveries) == (claimed.token, 1)


def test_every_claim_has_a_token_of_its_own(broker, reader):
    publish(broker, "mails", "one", "two")
    claiming = reader()

    tokens = [claiming.claim("mails", limit=1)[0].token for _ in range(2)]

    assert tokens[0] != tokens[1]


@pytest.mark.parametrize("queues", [1, 3])
def test_four_consumers_at_once_get_each_message_once(broker, reader, queues):
    names = [f"queue {number}" for number in range(queues)]
    for number in range(240):
        Store(broker).publish(names[number % queues], message(str(number)))

    def consume(claiming):
        taken = []
        # What others hold at that moment is left out, so an empty claim alone does not mean the end.
        while rows(broker, state=MessageState.READY):
            for claimed in claiming.claim(*names, limit=7):
                taken += bodies([claimed])
                claiming.ack(claimed)
        return taken

    claimings = [reader() for _ in range(4)]
    shares = in_threads([lambda each=each: consume(each) for each in claimings])

    assert Counter(chain(*shares)) == Counter(str(number) for number in range(240))
    assert rows(broker) == 0


def test_consumers_and_publishers_at_once_lose_nothing(broker, reader):
    def produce(name):
        for number in range(40):
            with transaction.atomic(using=broker):
                Store(broker).publish("mails", message(f"{name} {number}"))
                transaction.set_rollback(number % 4 == 0, using=broker)

    def consume(claiming):
        taken = []
        while len(taken) < 30:
            for claimed in claiming.claim("mails", limit=30 - len(taken)):
                taken += bodies([claimed])
                claiming.ack(claimed)
        return taken

    claimings = [reader(), reader()]
    results = in_threads(
        [
            lambda: produce("a"),
            lambda: produce("b"),
            *[lambda each=each: consume(each) for each in claimings],
        ]
    )

    expected = [f"{name} {number}" for name in "ab" for number in range(40) if number % 4]
    assert sorted(results[2] + results[3]) == sorted(expected)
    assert rows(broker) == 0


def test_a_claim_does_not_wait_for_a_claim_that_is_not_committed(broker, stranger):
    first, second = stranger(), stranger()
    if first.session.connection().vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    publish(broker, "mails", "one", "two", "three")

    def claim_and_let_the_other_claim(connection, queries):
        mine = queries.claim(connection, ["mails"], 2, first.worker, 1)
        return mine, in_thread(lambda: second.claim("mails"))

    mine, others = first.session.run(claim_and_let_the_other_claim)

    assert (bodies(mine), bodies(others)) == (["one", "two"], ["three"])


def test_an_open_transaction_of_a_publisher_does_not_hold_up_a_claim(broker, reader):
    claiming = reader()
    if claiming.deliveries.session.connection().vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    publish(broker, "mails", "one")

    with transaction.atomic(using=broker):
        Store(broker).publish("mails", message("two"))
        claimed = in_thread(lambda: claiming.claim("mails"))

    assert bodies(claimed) == ["one"]
    assert bodies(claiming.claim("mails")) == ["two"]


def test_a_worker_held_for_lost_gets_nothing(broker, stranger):
    publish(broker, "mails", "one")
    lost = stranger()
    Worker.objects.using(broker).filter(pk=lost.worker).update(is_lost=True)

    assert lost.claim("mails") == []
    assert rows(broker, state=MessageState.READY, deliveries=0) == 1


def test_a_worker_whose_row_is_gone_gets_nothing(broker, stranger):
    publish(broker, "mails", "one")
    gone = stranger()
    Worker.objects.using(broker).filter(pk=gone.worker).delete()

    assert gone.claim("mails") == []


def test_a_backlog_in_one_queue_does_not_make_another_wait(broker, reader):
    publish(broker, "mails", *(["bulk"] * 30))
    publish(broker, "calls", "fast")
    publish(broker, "mails", "urgent", priority=9)
    claiming = reader()

    found = [bodies(claiming.claim("mails", "calls", limit=3)) for _ in range(2)]

    # The priority comes first, then each queue in turn.
    assert found == [["urgent", "bulk", "fast"], ["bulk"] * 3]
