"""What is revoked stays revoked: in the caller's transaction, for workers that come later, until it ended."""

import asyncio
from datetime import timedelta

import pytest
from celery.app.control import Control
from celery.worker import state
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, transaction
from django.utils import timezone

from celeriac import control
from celeriac.models import Outbox, Revocation, TaskRecord
from celeriac.results import retention, revocations
from celeriac.worker import revoked
from celeriac.worker.reading_orders import Reader
from tests.broker import DEADLINE_SECONDS, publish, wait_until
from tests.results import make_app, results_in


@pytest.fixture
def app(alias):
    made = make_app()
    control.install(made)
    control.install(made)
    with results_in(alias):
        yield made


@pytest.fixture
def memory(monkeypatch):
    """Celery's, small and empty; this process is a worker for a while."""
    monkeypatch.setattr(state, "REVOKES_MAX", 3)
    monkeypatch.setattr(state, "revoked", type(state.revoked)(maxlen=3, expires=10800))
    monkeypatch.setattr(state, "revoked_stamps", {})
    monkeypatch.setattr(revoked, "_known", set())
    return state


@pytest.fixture
def reader(app):
    handed = []
    made = Reader(handed.append)
    made.handed = handed
    yield made
    made.stop()
    made._thread.join(DEADLINE_SECONDS)


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

    assert remembered(alias) == [("job", '"z"'), ("tenant", '"x"'), ("tenant", '"y"')]


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


def test_a_worker_that_is_started_later_knows(app, memory, reader):
    app.control.revoke(["a", "b", "c", "d", "e"])
    app.control.broadcast("revoke_by_stamped_headers", arguments={"headers": {"tenant": [42, "42", True]}})

    found = reader.start(DEADLINE_SECONDS)
    revoked.take(found.revoked, found.stamps, is_all=found.is_all)

    assert set(memory.revoked) == {"a", "b", "c", "d", "e"}, "none fell out to make room"
    assert sorted(map(repr, memory.revoked_stamps["tenant"])) == ["'42'", "42", "True"]


def test_what_was_not_told_is_found(app, reader):
    assert reader.start(DEADLINE_SECONDS).is_all
    app.control.revoke("later")
    control.pause("mails")

    reader.look()
    found = wait_until(lambda: next((each for each in reader.handed if each.revoked), None), "it looks")

    assert (found.revoked, found.paused, found.is_all) == ({"later"}, {"mails"}, False)


def test_memory_keeps_its_own_and_forgets_what_is_gone(memory):
    memory.revoked.add("told by remote control")
    memory.revoked_stamps["tenant"] = "x"
    revoked.take({"a", "b"}, {"tenant": ["x", "y"]}, is_all=True)
    revoked.take({"c"}, {"tenant": ["y"]}, is_all=False)

    assert set(memory.revoked) == {"told by remote control", "a", "b", "c"}
    assert memory.revoked_stamps == {"tenant": ["x", "y"]}

    revoked.take({"b"}, {}, is_all=True)
    assert set(memory.revoked) == {"told by remote control", "b"}


def test_a_worker_that_cannot_read_tries_until_it_can(app, reader, monkeypatch, caplog):
    since, calls = revocations.since, []

    def away(moment):
        calls.append(moment)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return since(moment)

    app.control.revoke("a")
    monkeypatch.setattr(revocations, "since", away)

    assert reader.start(0.2) is None
    wait_until(lambda: reader.handed, "it reads after all")

    assert reader.handed[0].revoked == {"a"}
    assert reader.handed[0].is_all
    assert caplog.text.count("What is revoked or paused cannot be read now") == 1


def test_a_project_without_a_database_has_no_orders(reader, monkeypatch):
    def missing(_moment):
        raise ImproperlyConfigured("settings.DATABASES is improperly configured.")

    monkeypatch.setattr(revocations, "since", missing)

    found = reader.start(DEADLINE_SECONDS)

    assert (found.revoked, found.stamps, found.paused) == (frozenset(), {}, frozenset())


@pytest.mark.parametrize("task_id", ["x" * 256, "a\x00b"])
def test_what_no_column_can_hold_is_an_error_of_one_line(app, alias, task_id):
    with pytest.raises(ValueError, match="Too long to be revoked, or not a text"):
        app.control.revoke(task_id)

    assert remembered(alias) == []


def test_what_runs_away_is_ended_also_without_the_database(app, monkeypatch):
    def away(entries):
        raise OperationalError("server closed the connection unexpectedly")

    sent = []
    monkeypatch.setattr(revocations, "remember", away)

    def broadcast(_control, command, *_rest, **_options):
        sent.append(command)

    monkeypatch.setattr(Control, "broadcast", broadcast)
    for revoke in (
        lambda: app.control.revoke("a"),
        lambda: app.control.revoke("a", terminate=True),
        lambda: app.control.terminate("a"),
    ):
        with pytest.raises(OperationalError):
            revoke()

    assert sent == ["revoke", "revoke"]


def test_what_is_revoked_again_counts_from_then(app, alias):
    app.control.revoke("a")
    Revocation.objects.using(alias).update(revoked_at=timezone.now() - timedelta(days=20))

    app.control.revoke("a")

    assert timezone.now() - Revocation.objects.using(alias).get().revoked_at < timedelta(days=1)


def test_a_revocation_goes_when_its_task_ended_or_never_came(app, alias):
    names = ["ended", "waiting", "due later", "unknown", "fresh", "still in a queue", "not sent yet"]
    app.control.revoke(names)
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
        "not sent yet",
    }

    publish(alias, "mails", "body", headers={"id": "still in a queue"})
    old.update(revoked_at=timezone.now() - timedelta(days=29))
    retention.expire(alias, timedelta(days=1))
    assert "unknown" in {value for _, value in remembered(alias)}, "another broker does not tell what waits"

    Outbox.objects.using(alias).create(task_id="not sent yet", payload="{}")
    old.update(revoked_at=timezone.now() - timedelta(days=31))
    retention.expire(alias, timedelta(days=1))
    assert {value for _, value in remembered(alias)} == {
        "due later",
        "fresh",
        "still in a queue",
        "not sent yet",
    }


def test_a_letter_is_a_letter(app, alias):
    app.control.revoke(["a", "A", "ä"])

    assert len(remembered(alias)) == 3
