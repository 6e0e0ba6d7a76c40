"""A worker that met a task that it does not know: it leaves its messages to others, and gives up old ones."""

import pytest
from django.test import override_settings

from celeriac.broker import clock, left_out
from celeriac.broker.left_out import LeftOut
from celeriac.broker.store import Store
from celeriac.models import DeadLetter, Message
from tests.broker import message, publish, wait_past, wait_until

KNOWN = ["shop.pay", "shop.mail"]


@pytest.fixture
def worker(reader):
    """A consumer that has just met a task that it does not know."""
    made = reader()
    made.left_out = LeftOut(made.deliveries)
    assert made.left_out.meet("0", "shop.new", KNOWN)
    return made


def put(alias, *names, queue="mails"):
    for name in names:
        Store(alias).publish(queue, message(name, headers={"task": name, "id": name}))


def names(claimed):
    return [each.task_name for each in claimed]


def test_it_claims_what_it_knows_and_what_is_no_task(broker, worker, reader):
    put(broker, "shop.new", "shop.pay", "shop.new", "shop.Pay")
    publish(broker, "mails", "no task")
    put(broker, "shop.mail", "shop.new", queue="others")

    found = worker.claim("mails", "others")

    assert sorted(map(str, names(found))) == ["None", "shop.mail", "shop.pay"]
    assert worker.claim("mails") == []
    # Each of the others is there for whoever knows it, and was never delivered.
    others = reader().claim("mails", "others")
    assert sorted(names(others)) == ["shop.Pay", "shop.new", "shop.new", "shop.new"]
    assert {each.deliveries for each in others} == {1}


def test_it_claims_as_before_when_none_of_them_waits(broker, worker):
    put(broker, "shop.pay")

    worker.left_out.look(["mails"], KNOWN)

    assert worker.deliveries.claims.choice is None
    assert names(worker.claim("mails")) == ["shop.pay"]


def test_it_gives_up_what_has_waited_too_long_and_nothing_else(broker, worker):
    put(broker, "shop.new", "shop.pay")
    with override_settings(CELERIAC={"UNKNOWN_TASK_SECONDS": 0.2}):
        worker.left_out.look(["mails"], KNOWN)
        assert Message.objects.using(broker).count() == 2
        wait_until(lambda: looks_again(broker, worker), "the old one is given up")

    letter = DeadLetter.objects.using(broker).get()
    assert (letter.task_id, letter.reason) == ("shop.new", "no worker knew its task for 0.2 s")
    assert names(worker.claim("mails")) == ["shop.pay"]


def test_it_gives_up_many_in_several_looks(broker, worker, monkeypatch):
    monkeypatch.setattr(left_out, "_GIVING_UP_SECONDS", 0.0)
    put(broker, *["shop.new"] * 120)
    wait_past(clock.now() + clock.seconds(0.01))
    with override_settings(CELERIAC={"UNKNOWN_TASK_SECONDS": 0.01}):
        wait_until(lambda: looks_again(broker, worker), "some are given up")
        assert Message.objects.using(broker).count() == 20

        wait_until(lambda: looks_again(broker, worker) and _dead(broker) == 120, "all are given up")


def _dead(alias):
    return DeadLetter.objects.using(alias).count()


def looks_again(alias, worker):
    worker.left_out.look(["mails"], KNOWN)
    return DeadLetter.objects.using(alias).exists()


def test_a_message_that_comes_again_and_again_is_given_up(worker):
    assert [worker.left_out.meet("7", "shop.pay", KNOWN) for _ in range(7)] == [True] * 5 + [False] * 2
