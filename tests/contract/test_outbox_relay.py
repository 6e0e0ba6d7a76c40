"""The relay of a worker: nothing is lost in an outage or sent twice, and nothing holds up the rest."""

from collections import Counter

import pytest
from celery import states
from django.db import connections, transaction
from django_celery_results.models import TaskResult

from celeriac.broker.queries import outbox as statements
from celeriac.control import install as install_control
from celeriac.models import DeadLetter, Outbox
from celeriac.publisher import outbox as publishing
from celeriac.results import revocations
from celeriac.worker import given_up, relay
from tests import outbox
from tests.broker import wait_until
from tests.outbox import leave_to_workers, received, relaying, timed, waiting
from tests.proxy import proxied

#: An outage may cost a publish so much once: a connection, its confirmation, and a busy machine.
BOUND_SECONDS = 9.0


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def proxy(url):
    with proxied(url) as made:
        yield made


@pytest.fixture
def cut_off(default_alias, proxy):
    """An app whose broker is behind the proxy."""
    with outbox.outbox_in(default_alias):
        yield outbox.make_app(proxy.url)
        outbox.close()


@pytest.fixture
def app(alias, redis_url):
    with outbox.outbox_in(alias):
        made = outbox.make_app(redis_url)
        given_up.connect(made, "relay@here")
        yield made
        outbox.close()


@pytest.fixture
def rabbit(default_alias, rabbitmq_url):
    with outbox.outbox_in(default_alias):
        made = outbox.make_app(rabbitmq_url)
        given_up.connect(made, "relay@here")
        yield made
        outbox.close()


@pytest.fixture
def hurried(monkeypatch):
    """What is looked at every few seconds is looked at at once."""
    monkeypatch.setattr(relay, "_LOOK_SECONDS", 0.02)


def note(app):
    return app.tasks["tests.note"]


def ids(messages):
    return [message.headers["id"] for message in messages]


@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "not connected"])
@pytest.mark.parametrize("outage", ["refuse", "fall_silent"])
def test_an_outage_at_the_publish_loses_nothing_and_holds_up_nobody(
    cut_off, default_alias, proxy, caplog, outage, is_connected
):
    app, before = cut_off, []
    if is_connected:
        before = [note(app).delay(0).id]
        assert ids(received(app)) == before
    getattr(proxy, outage)()
    sent = []

    def publish():
        with transaction.atomic():
            sent.append(note(app).delay(1).id)

    assert timed(publish) < BOUND_SECONDS
    assert timed(lambda: sent.append(note(app).delay(2).id)) < 1, (
        "who found it away does not ask at once again"
    )
    with relaying(app, default_alias):
        wait_until(lambda: "tasks wait in the outbox" in caplog.text, "the worker says that it is away")
        assert waiting(default_alias) == 2
        proxy.come_back()
        assert ids(received(app, count=2)) == sent
        wait_until(lambda: waiting(default_alias) == 0, "the outbox is empty")

    assert caplog.text.count("tasks wait in the outbox") == 1
    assert caplog.text.count("The broker is away; workers will send") == 1
    assert "takes what waits in the outbox" in caplog.text


def test_several_relays_send_each_once_and_in_order(app, alias):
    leave_to_workers(app)
    sent = [note(app).delay(number).id for number in range(250)]
    with relaying(app, alias), relaying(app, alias), relaying(app, alias):
        wait_until(lambda: waiting(alias) == 0, "all are sent")

    assert ids(received(app, count=250)) == sent
    assert outbox.is_empty(app)


def test_what_a_dead_publisher_or_worker_held_is_sent(app, alias, hurried, monkeypatch):
    monkeypatch.setattr(relay, "OVERDUE_SECONDS", 0.2)
    leave_to_workers(app)
    sent = [note(app).delay(number).id for number in range(3)]
    first, second, _ = Outbox.objects.using(alias).order_by("id").values_list("id", flat=True)
    Outbox.objects.using(alias).filter(id=first).update(holder=77)
    Outbox.objects.using(alias).filter(id=second).update(holder=statements.FIRST_WORKER + 77)

    with relaying(app, alias):
        assert sorted(ids(received(app, count=3))) == sorted(sent)
        wait_until(lambda: waiting(alias) == 0, "the outbox is empty")


def test_what_somebody_holds_is_left_to_him(app, alias, hurried):
    leave_to_workers(app)
    held, free = note(app).delay(1).id, note(app).delay(2).id
    Outbox.objects.using(alias).filter(task_id=held).update(holder=77)

    with relaying(app, alias):
        assert ids(received(app)) == [free]
        wait_until(lambda: waiting(alias) == 1, "the other row has gone")

    assert outbox.is_empty(app)


def test_a_publisher_that_comes_late_asks_whether_it_still_may(app, alias, monkeypatch):
    monkeypatch.setattr(publishing, "_SENDING_SECONDS", -1.0)
    with transaction.atomic(using=alias):
        note(app).delay(1)
        # As a worker does that has waited for it.
        transaction.on_commit(lambda: None, using=alias)
        Outbox.objects.using(alias).update(holder=statements.NOBODY)

    assert waiting(alias) == 1
    assert outbox.is_empty(app)


def test_a_message_that_is_refused_holds_up_no_other_and_becomes_a_dead_letter(
    rabbit, default_alias, hurried
):
    leave_to_workers(rabbit)
    refused = note(rabbit).apply_async((1,), exchange="nowhere", routing_key="x", declare=[]).id
    others = [note(rabbit).delay(number).id for number in range(3)]

    with relaying(rabbit, default_alias):
        assert ids(received(rabbit, count=3)) == others
        wait_until(lambda: waiting(default_alias) == 0, "it is given up")

    letter = DeadLetter.objects.get()
    assert letter.task_id == refused
    assert letter.reason.startswith("refused by the broker 5 times: ")
    assert "no exchange 'nowhere'" in letter.reason
    assert rabbit.AsyncResult(refused).state == states.FAILURE
    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"FAILURE": 1, "PENDING": 3}


def test_a_queue_that_is_full_keeps_its_tasks_in_the_outbox(rabbit, default_alias, hurried):
    from kombu import Queue

    full = Queue("full", max_length=1, queue_arguments={"x-overflow": "reject-publish"})
    rabbit.amqp.queues.add(full)
    note(rabbit).apply_async((0,), queue="full")
    waits = note(rabbit).apply_async((1,), queue="full").id
    other = note(rabbit).delay(2).id

    with relaying(rabbit, default_alias):
        assert ids(received(rabbit)) == [other]
        wait_until(lambda: Outbox.objects.get().refusals > 6, "it is tried again and again")
        received(rabbit, "full")
        assert ids(received(rabbit, "full")) == [waits]
        wait_until(lambda: waiting(default_alias) == 0, "the outbox is empty")
    assert not DeadLetter.objects.exists()


def test_a_row_may_be_refused_more_often_than_its_column_can_count(app, alias):
    leave_to_workers(app)
    note(app).delay(1)
    Outbox.objects.using(alias).update(holder=77, refusals=2**15 - 2)

    for _ in range(2):
        row = Outbox.objects.using(alias).get()
        assert statements.put_off(connections[alias], row.holder, row.id, "it is full") == 1

    assert Outbox.objects.using(alias).get().refusals == 2**15 - 1


def test_a_task_that_is_revoked_in_the_outbox_is_never_sent(app, alias):
    install_control(app)
    leave_to_workers(app)
    revoked, kept = note(app).delay(1).id, note(app).delay(2).id
    revocations.remember([("", revoked)])

    with relaying(app, alias):
        assert ids(received(app)) == [kept]
        wait_until(lambda: waiting(alias) == 0, "the outbox is empty")

    assert app.AsyncResult(revoked).state == states.REVOKED
    assert outbox.is_empty(app)


def test_a_relay_sends_what_is_left_when_the_setting_is_off_and_ends(app, alias, settings_off):
    leave_to_workers(app)
    left = note(app).delay(1).id

    with settings_off(), relaying(app, alias) as made:
        assert ids(received(app)) == [left]
        wait_until(lambda: not made._thread.is_alive(), "it ends")


def test_a_relay_stays_for_the_schedule_with_the_setting_off(app, alias, settings_off, monkeypatch):
    monkeypatch.setattr(relay.scheduling, "is_running", lambda: True)
    leave_to_workers(app)

    with settings_off(), relaying(app, alias):
        for number in range(2):
            with publishing.always():
                sent = note(app).delay(number).id
            assert ids(received(app)) == [sent]
            wait_until(lambda: waiting(alias) == 0, "the outbox is empty")


@pytest.fixture
def settings_off():
    from django.test import override_settings

    return lambda: override_settings(CELERIAC={"POLL_SECONDS": 0.05})
