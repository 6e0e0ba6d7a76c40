"""`control.retry`: the exact message of a task again, under its own id, on each database."""

import json

import pytest
from celery import chord, states
from celery.app.trace import build_tracer
from django.db import connections, transaction

from celeriac import control
from celeriac.errors import CannotBeSentAgain
from celeriac.models import Attempt, Chord, Message, Revocation, TaskRecord
from celeriac.publisher import batches
from tests.broker import in_threads
from tests.results import context, counted_queries, publishing_app, record, row


@pytest.fixture
def app(broker, monkeypatch):
    with publishing_app(broker) as made:
        monkeypatch.setattr(control, "get_app", lambda: made)
        yield made


@pytest.fixture
def pay(app):
    def pay(order, currency="EUR"):
        return order

    return app.task(pay, name="shop.pay", shared=False)


def taken(alias):
    """The messages, as a worker takes and acknowledges them."""
    rows = Message.objects.using(alias).order_by("id")
    found = [json.loads(each.payload) for each in rows]
    rows.delete()
    return found


def fail(app, task_id):
    app.backend.mark_as_failure(task_id, ValueError("no stock"), request=context(task_id))


def without_tag(message):
    return {**message, "properties": {**message["properties"], "delivery_tag": None}}


def test_a_task_that_failed_is_sent_again_as_it_was(app, alias, pay):
    result = pay.apply_async((17,), {"currency": "CHF"}, priority=4, queue="mails", headers={"tenant": "a"})
    (first,) = taken(alias)
    fail(app, result.id)
    before = record(alias, result.id)

    again = control.retry(result.id)

    (second,) = taken(alias)
    assert without_tag(second) == without_tag(first)
    assert (again.id, again.state, row(alias, result.id).traceback) == (result.id, states.PENDING, None)
    assert row(alias, result.id).task_kwargs is not None
    after = record(alias, result.id)
    assert (after.message, after.finished_at) == (before.message, None)
    assert after.sent_again_at == after.published_at > before.published_at
    assert Attempt.objects.using(alias).get(task_id=result.id).message == "no stock"


def test_it_is_a_part_of_the_callers_transaction(app, alias, pay):
    result = pay.delay(1)
    taken(alias)
    fail(app, result.id)

    with transaction.atomic(using=alias):
        control.retry(result.id)
        transaction.set_rollback(True, using=alias)

    assert taken(alias) == []
    assert (row(alias, result.id).status, record(alias, result.id).sent_again_at) == (states.FAILURE, None)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, r"still waits or runs \(PENDING\)\. .*force=True"),
        (states.STARTED, r"still waits or runs \(STARTED\)"),
        (states.RETRY, "still waits or runs"),
        (states.SUCCESS, r"it succeeded, and its result stays\. .*as_new=True"),
        ("unknown", "its record has expired, or there was never such a task"),
        ("revoked", r"is revoked.*as_new=True"),
        ("quiet", "nothing says that it has ended"),
        ("unkept", "its message is not kept"),
        ("broken", "holds no message that can be read"),
        ("pickled", r"content type 'application/x-python-serialize' is not in CELERY_ACCEPT_CONTENT"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(app, alias, pay, state, reason):
    task_id = pay.apply_async((1,), ignore_result=state == "quiet").id
    taken(alias)
    records = TaskRecord.objects.using(alias)
    if state in states.ALL_STATES:
        app.backend.store_result(task_id, None, state, request=context(task_id))
    elif state not in {None, "quiet"}:
        fail(app, task_id)
    if state == "unknown":
        records.all().delete()
    elif state == "revoked":
        Revocation.objects.using(alias).create(value=task_id)
    elif state in {"unkept", "broken", "pickled"}:
        pickled = record(alias, task_id).message.replace('"serializer": "json"', '"serializer": "pickle"')
        records.update(message={"unkept": "", "broken": "[1]", "pickled": pickled}[state])

    with pytest.raises(CannotBeSentAgain, match=reason) as raised:
        control.retry(task_id)

    assert str(raised.value).count("\n") == 0
    assert task_id in str(raised.value)
    assert taken(alias) == []


def test_who_insists_may_run_it_twice_and_nothing_that_runs_is_put_back(app, alias, pay):
    running, waiting = pay.delay(1), pay.delay(2)
    taken(alias)
    app.backend.store_result(running.id, {"at": 1}, "PROGRESS", request=context(running.id))

    for each in (running, waiting):
        control.retry(each.id, force=True)

    assert [each["headers"]["id"] for each in taken(alias)] == [running.id, waiting.id]
    assert row(alias, running.id).status == "PROGRESS"


def test_as_a_task_of_its_own_it_says_where_it_comes_from(app, alias, pay):
    first = chord([pay.s(1)], pay.s()).apply_async().parent.results[0]
    taken(alias)
    app.backend.store_result(first.id, 1, states.SUCCESS, request=context(first.id))

    again = control.retry(first.id, as_new=True)

    (message,) = taken(alias)
    stored, origin = record(alias, again.id), record(alias, first.id)
    assert again.id != first.id == stored.origin_id
    assert (stored.root_id, again.state, row(alias, first.id).status) == (
        origin.root_id,
        states.PENDING,
        states.SUCCESS,
    )
    assert (message["headers"]["id"], message["properties"]["correlation_id"]) == (again.id, again.id)
    assert (message["headers"]["group"], json.loads(message["body"])[2]["chord"]) == (None, None)
    assert json.loads(message["body"])[0] == [1]
    fail(app, again.id)
    assert control.retry(again.id).id == again.id


def test_an_expiry_that_has_passed_is_left_out(app, alias, pay):
    result = pay.apply_async((1,), expires=0.001)
    taken(alias)
    app.backend.mark_as_revoked(result.id, "expired", request=context(result.id))

    control.retry(result.id)

    (message,) = taken(alias)
    assert message["headers"]["expires"] is None
    assert "expiration" not in message["properties"]


def test_a_chord_that_failed_goes_on_when_its_task_succeeds(app, alias, pay):
    body = chord([pay.s(1), pay.s(2)], pay.s("CHF")).apply_async()
    first, second = taken(alias)

    def run(message, *, fails):
        headers = message["headers"]
        args, kwargs, embedded = json.loads(message["body"])
        request = {**headers, **embedded, "args": args, "kwargs": kwargs, "hostname": "w@h"}
        request = {**request, "delivery_info": {}, "is_eager": False}
        build_tracer(pay.name, broken if fails else pay, app=app)(headers["id"], args, kwargs, request)

    def break_down(*args):
        raise ValueError("no stock")

    broken = app.task(break_down, name="shop.broken", shared=False)
    run(first, fails=True)
    run(second, fails=False)
    assert (body.state, taken(alias)) == (states.FAILURE, [])

    control.retry(first["headers"]["id"])
    assert row(alias, body.id).status == states.PENDING
    (again,) = taken(alias)
    run(again, fails=False)

    (sent,) = taken(alias)
    assert (sent["headers"]["id"], json.loads(sent["body"])[0]) == (body.id, [[1, 2], "CHF"])
    assert Chord.objects.using(alias).get().is_sent


def test_many_are_a_handful_of_statements_and_tell_how_far_they_are(app, alias, pay, monkeypatch):
    monkeypatch.setattr(batches, "SIZE", 100)
    failed = publisher_of_many(app, alias, pay, 230)
    waiting = pay.delay(0)
    taken(alias)
    told = []

    with counted_queries(alias) as statements:
        done = control.retry_many(
            TaskRecord.objects.using(alias).filter(task_name="shop.pay"),
            progress=lambda sofar: told.append(sofar.done),
        )

    assert (done.sent, done.refused.total(), told) == (230, 1, [100, 200, 231])
    assert "still waits" in next(iter(done.refused))
    assert sorted(each["headers"]["id"] for each in taken(alias)) == sorted(failed)
    assert waiting.state == states.PENDING
    assert len(statements) <= 3 * 16 + 2, "\n".join(each[:150] for each in statements)


def test_new_tasks_that_come_into_the_filter_are_not_sent_too(app, alias, pay, monkeypatch):
    monkeypatch.setattr(batches, "SIZE", 2)
    publisher_of_many(app, alias, pay, 5)

    done = control.retry_many(TaskRecord.objects.using(alias).all(), as_new=True)

    assert (done.sent, done.refused.total(), len(taken(alias))) == (5, 0, 5)
    assert TaskRecord.objects.using(alias).count() == 10


def test_of_two_who_send_a_task_again_one_is_refused(app, alias, pay):
    result = pay.delay(1)
    taken(alias)
    fail(app, result.id)
    refused = []

    def send():
        try:
            control.retry(result.id)
        except CannotBeSentAgain as error:
            refused.append(error)
        finally:
            connections[alias].close()

    in_threads([send] * 2)

    assert (len(taken(alias)), len(refused)) == (1, 1)


def publisher_of_many(app, alias, task, count):
    from celeriac import publish_many

    with transaction.atomic(using=alias):
        ids = [each.id for each in publish_many([task.s(number) for number in range(count)])]
        for each in ids:
            fail(app, each)
    taken(alias)
    return ids
