"""`control.replay`: a dead letter's message in its queue again, and the letter gone, on each database."""

import json
import pickle
from base64 import b64encode

import pytest
from celery import chord, states
from django.db import transaction

from celeriac import control
from celeriac.broker import reading
from celeriac.errors import CannotBeSentAgain
from celeriac.models import Attempt, Chord, DeadLetter, Message, Revocation
from celeriac.publisher import batches
from tests.results import context, counted_queries, publishing_app, row


@pytest.fixture
def app(broker, monkeypatch):
    with publishing_app(broker) as made:
        monkeypatch.setattr(control, "get_app", lambda: made)
        yield made


@pytest.fixture
def pay(app):
    def pay(order):
        return order

    return app.task(pay, name="shop.pay", shared=False)


def bury_all(app, alias, *, fails=True):
    """Every message becomes a dead letter, and its task fails as it does then."""
    messages = Message.objects.using(alias).order_by("id")
    for each in messages:
        DeadLetter.objects.using(alias).create(
            queue=each.queue,
            task_id=each.task_id,
            task_name=each.task_name,
            payload=each.payload,
            deliveries=6,
            reason="delivered 5 times and never finished",
            died_at=1,
        )
        if fails:
            error = OSError("given up")
            app.backend.mark_as_failure(each.task_id, error, request=context(each.task_id, given_up=True))
    messages.delete()
    return list(DeadLetter.objects.using(alias).order_by("id"))


def letter_of(alias, payload, **known):
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return DeadLetter.objects.using(alias).create(
        queue="celery", payload=text, deliveries=1, reason="odd", died_at=1, **known
    )


def test_the_message_goes_back_as_it_was_and_the_letter_goes(app, alias, pay):
    result = pay.apply_async((1,), priority=7, queue="mails", compression="gzip")
    payload = Message.objects.using(alias).get().payload
    (letter,) = bury_all(app, alias)

    again = control.replay(letter)

    message = Message.objects.using(alias).get()
    assert (json.loads(message.payload), message.queue, message.turn) == (json.loads(payload), "mails", 2)
    assert (message.deliveries, message.task_id, message.task_name) == (0, result.id, "shop.pay")
    assert (again.id, row(alias, result.id).status) == (result.id, states.PENDING)
    assert Attempt.objects.using(alias).get().outcome == "GIVEN_UP"
    assert not DeadLetter.objects.using(alias).exists()
    with pytest.raises(CannotBeSentAgain, match=f"Dead letter {letter.pk} is not sent again: it is gone"):
        control.replay(letter)


def test_letter_message_and_state_are_one_transaction(app, alias, pay):
    pay.delay(1)
    (letter,) = bury_all(app, alias)

    with transaction.atomic(using=alias):
        control.replay(letter.pk)
        transaction.set_rollback(True, using=alias)

    assert DeadLetter.objects.using(alias).count() == 1
    assert (Message.objects.using(alias).count(), row(alias, letter.task_id).status) == (0, states.FAILURE)


@pytest.mark.parametrize("payload", ["no JSON", "[]", '{"body": ""}', "[" * 100_000])
def test_what_is_no_message_is_refused_in_one_line(app, alias, payload):
    letter = letter_of(alias, payload)

    with pytest.raises(CannotBeSentAgain, match="its text is no message of a task") as raised:
        control.replay(letter)

    assert "\n" not in str(raised.value)
    assert DeadLetter.objects.using(alias).count() == 1


class Unpacked:
    """Tells when somebody unpickles it."""

    made = 0

    def __reduce__(self):
        return Unpacked.make, ()

    @classmethod
    def make(cls):
        cls.made += 1
        return cls()


def test_nothing_is_unpacked(app, alias):
    message = {
        "body": b64encode(pickle.dumps(Unpacked())).decode(),
        "content-type": "application/x-python-serialize",
        "content-encoding": "binary",
        "headers": {"task": "shop.pay", "id": "a"},
        "properties": {"delivery_info": {}, "body_encoding": "base64"},
    }
    letter = letter_of(alias, message, task_id="a")

    with pytest.raises(CannotBeSentAgain, match="not in CELERY_ACCEPT_CONTENT"):
        control.replay(letter)
    app.conf.accept_content = ["json", "pickle"]
    control.replay(letter)

    assert json.loads(Message.objects.using(alias).get().payload)["body"] == message["body"]
    assert Unpacked.made == 0


def test_a_task_that_runs_succeeded_or_is_revoked_is_not_run_again(app, alias, pay):
    running, done, stopped = (pay.delay(number) for number in range(3))
    app.backend.store_result(running.id, None, states.STARTED, request=context(running.id))
    app.backend.store_result(done.id, 1, states.SUCCESS, request=context(done.id))
    letters = bury_all(app, alias, fails=False)
    Revocation.objects.using(alias).create(value=stopped.id)

    refused = control.replay_many(letters)

    assert (refused.sent, refused.refused.total()) == (0, 3)
    for said in ("still waits or runs (STARTED)", "it succeeded", "it is revoked"):
        assert any(said in reason for reason in refused.refused)
    assert control.replay_many(letters, force=True).sent == 2
    assert row(alias, done.id).status == states.SUCCESS


def test_many_are_a_handful_of_statements_and_the_others_stay(app, alias, pay, monkeypatch):
    monkeypatch.setattr(batches, "SIZE", 100)
    with transaction.atomic(using=alias):
        for number in range(150):
            pay.delay(number)
    bury_all(app, alias)
    letter_of(alias, "no JSON")
    told = []

    with counted_queries(alias) as statements:
        done = control.replay_many(
            DeadLetter.objects.using(alias).all(), progress=lambda sofar: told.append(sofar.done)
        )

    assert (done.sent, told) == (150, [100, 151])
    assert (Message.objects.using(alias).count(), DeadLetter.objects.using(alias).count()) == (150, 1)
    assert len(statements) <= 2 * 16 + 2, "\n".join(each[:150] for each in statements)


def test_a_message_without_a_task_is_sent_again_too(app, alias):
    message = {"body": "x", "content-type": "application/json", "headers": {}}
    letter = letter_of(alias, {**message, "properties": {"delivery_info": {}, "body_encoding": "utf-8"}})

    assert control.replay(letter) is None
    assert Message.objects.using(alias).get().task_id is None


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_chord_goes_on_with_its_part(app, alias, pay, compression):
    body = chord([pay.s(1).set(compression=compression)], pay.s()).apply_async()
    (letter,) = bury_all(app, alias, fails=False)
    raw = reading.read(letter.payload, ["json"])
    request = context(
        letter.task_id, given_up=True, group=raw.headers["group"], chord=raw.payload[2]["chord"]
    )
    app.backend.mark_as_failure(letter.task_id, OSError("given up"), request=request)
    assert (body.state, Chord.objects.using(alias).get().is_sent) == (states.FAILURE, True)

    control.replay(letter)

    assert row(alias, body.id).status == states.PENDING
    assert not Chord.objects.using(alias).get().is_sent
