"""What is revoked stays revoked: in the caller's transaction, for workers that come later, until it ended."""

import asyncio
from datetime import timedelta

import pytest
from celery.worker import state
from django.db import OperationalError, transaction
from django.utils import timezone

from celeriac import control
from celeriac.models import Revocation, TaskRecord
from celeriac.results import retention, revocations
from celeriac.worker.revoked import Revoked
from tests.broker import publish
from tests.results import make_app, results_in


@pytest.fixture
def app(alias):
    made = make_app()
    control.install(made)
    control.install(made)
    with results_in(alias):
        yield made


@pytest.fixture
def step(app, monkeypatch):
    """The step of a worker's consumer, which this process is for a while."""
    monkeypatch.setattr(state, "revoked", type(state.revoked)(maxlen=3, expires=10800))
    monkeypatch.setattr(state, "revoked_stamps", {})
    made = Revoked(Consumer())
    yield made
    made.stop(None)


class Timer:
    def call_repeatedly(self, _seconds, action):
        self.action = action
        return self

    def cancel(self):
        self.action = None


class Consumer:
    """What the step has of Celery's consumer."""

    def __init__(self):
        self.timer = Timer()


def remembered(alias):
    return sorted(Revocation.objects.using(alias).values_list("header", "value"))


def test_what_is_revoked_is_remembered_once(app, alias):
    app.control.revoke("a")
    app.control.revoke(["a", "b"], terminate=True)
    app.AsyncResult("c").revoke()
    app.control.terminate("d")

    assert remembered(alias) == [("", "a"), ("", "b"), ("", "c"), ("", "d")]


@pytest.mark.parametrize("headers", [{"tenant": ["x", "y"], "job": "z"}, ["tenant=x", "tenant=y", "job=z"]])
def test_stamps_are_remembered(app, alias, headers):
    app.control.broadcast("revoke_by_stamped_headers", arguments={"headers": headers})

    assert remembered(alias) == [("job", "z"), ("tenant", "x"), ("tenant", "y")]


def test_a_revocation_that_is_rolled_back_was_none(app, alias):
    with transaction.atomic(using=alias):
        app.control.revoke("a")
        transaction.set_rollback(True, using=alias)

    assert remembered(alias) == []


def test_what_one_worker_is_told_is_its_own_affair(app, alias):
    app.control.revoke("a", destination=["one@host"])
    app.control.rate_limit("shop.pay", "1/s")

    assert remembered(alias) == []


def test_an_async_view_may_revoke(app, alias):
    async def view():
        app.control.revoke("a")

    asyncio.run(view())

    assert remembered(alias) == [("", "a")]


def test_a_worker_that_is_started_later_knows(app, step):
    app.control.revoke(["a", "b", "c", "d", "e"])
    app.control.broadcast("revoke_by_stamped_headers", arguments={"headers": {"tenant": ["x", "y"]}})

    step.start(consumer := Consumer())

    assert {"a", "b", "c", "d", "e"} <= set(state.revoked), "none fell out to make room"
    assert state.revoked_stamps == {"tenant": ["x", "y"]}

    app.control.revoke("later")
    consumer.timer.action()
    assert "later" in state.revoked, "it was not told, and found out"
    assert state.revoked_stamps == {"tenant": ["x", "y"]}


def test_what_celery_forgets_is_read_again(app, step, alias, monkeypatch):
    app.control.revoke("a")
    Revocation.objects.using(alias).update(revoked_at=timezone.now() - timedelta(hours=2))
    step.start(consumer := Consumer())
    state.revoked.discard("a")

    consumer.timer.action()
    assert "a" not in state.revoked, "it is too long ago to be looked at every time"

    monkeypatch.setattr(step, "_read_all_at", step._read_all_at - 3601)
    consumer.timer.action()
    assert "a" in state.revoked


def test_without_the_database_the_worker_goes_on(app, step, monkeypatch, caplog):
    def away(_moment):
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(revocations, "since", away)
    step.start(consumer := Consumer())
    consumer.timer.action()

    assert caplog.text.count("What was revoked cannot be read now") == 1


def test_a_revocation_goes_when_its_task_ended_or_never_came(app, alias):
    app.control.revoke(["ended", "waiting", "due later", "unknown", "fresh", "still in a queue"])
    old = Revocation.objects.using(alias).exclude(value="fresh")
    known = {"task_name": "t", "published_at": timezone.now() - timedelta(days=20)}
    records = TaskRecord.objects.using(alias)
    records.create(task_id="ended", finished_at=timezone.now(), **known)
    records.create(task_id="fresh", finished_at=timezone.now(), **known)
    records.create(task_id="waiting", **known)
    records.create(task_id="due later", eta=timezone.now() + timedelta(days=1), **known)

    old.update(revoked_at=timezone.now() - timedelta(days=2))
    retention.expire(alias, timedelta(days=1))
    assert {value for _, value in remembered(alias)} == {
        "waiting",
        "due later",
        "unknown",
        "fresh",
        "still in a queue",
    }

    publish(alias, "mails", "body", headers={"id": "still in a queue"})
    old.update(revoked_at=timezone.now() - timedelta(days=11))
    retention.expire(alias, timedelta(days=1))
    assert {value for _, value in remembered(alias)} == {"due later", "fresh", "still in a queue"}


def test_a_letter_is_a_letter(app, alias):
    app.control.revoke(["a", "A", "ä"])

    assert len(remembered(alias)) == 3
