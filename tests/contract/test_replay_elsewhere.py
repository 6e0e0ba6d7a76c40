"""`control.replay` to RabbitMQ and Redis, and of the letters that the outbox and other clients leave."""

import json

import pytest
from amqp.exceptions import ChannelError
from celery import chain, chord, states
from celery.app.task import Context
from django.db import transaction
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from celeriac import control
from celeriac.broker.queries import outbox as statements
from celeriac.models import Chord, DeadLetter, Outbox
from tests import outbox
from tests.outbox import leave_to_workers, received
from tests.proxy import proxied
from tests.results import context, results_in, row

GOOD = {
    "body": "[[], {}, {}]",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "tests.note"},
    "properties": {"delivery_info": {}},
}
ODD = [
    {"headers": [1]},
    {"headers": {"task": "tests.note", "group": [1], "expires": "0001-01-01T00:00:00+23:59"}},
    {"headers": {"task": "tests.note", "group": "g"}, "body": '[[], {}, {"chain": 5, "chord": "x"}]'},
    {"body": "[[], {}, 7]"},
    {"body": '[[], {}, {"chain": [{"options": 5}], "chord": {"options": {"task_id": {}}}}]'},
    {"body": "\ud800", "content-encoding": "nonsense"},
    {"body": 5},
    {"properties": []},
    {"properties": {"delivery_info": {}, "expiration": "soon", "priority": "x"}},
]


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def app(default_alias, url, monkeypatch):
    with results_in(default_alias):
        made = outbox.make_app(url)
        monkeypatch.setattr(control, "get_app", lambda: made)
        yield made
        outbox.close()


def bury_outbox(app, alias):
    """What waits in the outbox becomes dead letters, as the relay makes them."""
    with transaction.atomic(using=alias):
        for each in Outbox.objects.using(alias).all():
            error = OSError("refused")
            app.backend.mark_as_failure(each.task_id, error, request=context(each.task_id, given_up=True))
            statements.bury(transaction.get_connection(alias), each.holder, each.id, "refused", 1)
    return list(DeadLetter.objects.using(alias).order_by("id"))


def test_a_letter_of_the_outbox_goes_the_way_that_it_was_to_go(app, default_alias):
    note = app.tasks["tests.note"]
    app.amqp.queues.add(Queue("mails", Exchange("post", "topic"), routing_key="mail.#"))
    with outbox.outbox_in(default_alias):
        leave_to_workers(app)
        plain = note.apply_async((1,), priority=3, expiration=600)
        post = note.apply_async((2,), queue="mails", routing_key="mail.x")
    received(app, "mails", 0)

    done = control.replay_many(bury_outbox(app, default_alias))

    assert (done.sent, done.refused) == (2, {})
    (first,), (second,) = received(app), received(app, "mails")
    assert (plain.state, post.state) == (states.PENDING, states.PENDING)
    assert (first.headers["id"], first.payload[0]) == (plain.id, [1])
    assert (first.properties["priority"], first.properties["expiration"]) == (3, "600000")
    assert (second.headers["id"], second.payload[0]) == (post.id, [2])
    assert not DeadLetter.objects.using(default_alias).exists()


def test_what_no_letter_should_be_is_refused_or_sent_and_never_raised(app, default_alias):
    for number, odd in enumerate(ODD):
        DeadLetter.objects.using(default_alias).create(
            queue="celery",
            payload=json.dumps({**GOOD, **odd}),
            task_id=f"odd-{number}",
            deliveries=1,
            reason="odd",
            died_at=1,
        )
    app.backend.mark_as_failure("odd-3", OSError(), request=context("odd-3"))

    done = control.replay_many(DeadLetter.objects.using(default_alias).all())

    assert done.sent + done.refused.total() == len(ODD)
    assert list(done.refused) == ["its text is no message of a task"]
    assert len(received(app, count=done.sent)) == done.sent


def test_a_broker_that_is_away_keeps_the_letter_and_nobody_waiting(default_alias, url, monkeypatch):
    with results_in(default_alias), proxied(url) as proxy:
        app = outbox.make_app(proxy.url)
        monkeypatch.setattr(control, "get_app", lambda: app)
        with outbox.outbox_in(default_alias):
            leave_to_workers(app)
            sent = app.tasks["tests.note"].delay(1)
        (letter,) = bury_outbox(app, default_alias)
        proxy.refuse()

        with pytest.raises(OperationalError):
            control.replay(letter)

        assert row(default_alias, sent.id).status == states.FAILURE
        proxy.come_back()
        control.replay(letter.pk)
        assert received(app)[0].headers["id"] == sent.id
        outbox.close()


def test_a_queue_that_is_gone_keeps_its_letter(default_alias, rabbitmq_url, monkeypatch):
    app = outbox.make_app(rabbitmq_url)
    monkeypatch.setattr(control, "get_app", lambda: app)
    with results_in(default_alias):
        payload = {**GOOD, "properties": {"delivery_info": {}}}
        made = {"queue": "gone", "payload": json.dumps(payload), "deliveries": 1, "reason": "", "died_at": 1}
        letter = DeadLetter.objects.using(default_alias).create(**made)

        with pytest.raises(ChannelError, match="NO_ROUTE"):
            control.replay(letter)

        assert DeadLetter.objects.using(default_alias).count() == 1
        outbox.close()


@pytest.mark.parametrize("has_ended", [False, True], ids=["chord waits", "chord failed"])
def test_what_follows_a_task_that_cannot_be_sent_has_ended_as_it_had(
    default_alias, redis_url, monkeypatch, has_ended
):
    with results_in(default_alias), proxied(redis_url) as proxy:
        app = outbox.make_app(proxy.url)
        monkeypatch.setattr(control, "get_app", lambda: app)
        note = app.tasks["tests.note"]
        last = chain(note.s(), note.s()).apply_async()
        body = chord([note.s(), note.s()], note.s()).apply_async()
        failed, part, other = received(app, count=3)
        fails(app, failed)
        fails(app, part)
        if has_ended:
            fails(app, other)
        proxy.refuse()

        for message in (failed, part):
            with pytest.raises(OperationalError):
                control.retry(message.headers["id"])

        states_now = [row(default_alias, each.headers["id"]).status for each in (failed, part)]
        assert (states_now, last.state) == ([states.FAILURE] * 2, states.FAILURE)
        if not has_ended:
            fails(app, other)
        assert (body.state, Chord.objects.using(default_alias).get().is_sent) == (states.FAILURE, True)
        assert "Dependency" in str(body.result)
        outbox.close()


def fails(app, message):
    """As in a worker."""
    args, kwargs, embedded = message.payload
    known = {"args": args, "kwargs": kwargs, "hostname": "w@h", "delivery_info": {}, "is_eager": False}
    request = Context({**message.headers, **embedded, **known})
    app.backend.mark_as_failure(request.id, ValueError("no stock"), request=request)
