"""Sensitive arguments are in the message and nowhere else, whichever way a task is published."""

import json

import pytest
from celery import chain, group
from celery.app.trace import build_tracer

import celeriac
from celeriac.models import Attempt, Message, TaskRecord
from celeriac.publisher import short_way
from tests.results import publishing_app, row

SECRET = "hunter2-and-more"


@pytest.fixture
def app(broker):
    with publishing_app(broker) as made:
        yield made


@pytest.fixture
def pay(app):
    def pay(self, card, pin, data=None):
        raise ValueError(f"the bank refuses {pin}")

    return app.task(pay, name="shop.pay", bind=True, sensitive=["pin"], shared=False)


def shown(alias, task_id):
    stored = row(alias, task_id)
    return json.loads(stored.task_args), json.loads(stored.task_kwargs)


def by_delay(task, *calls):
    return [task.apply_async(*each).id for each in calls]


def by_publish_many(task, *calls):
    return [each.id for each in celeriac.publish_many([task.s(*args, **kwargs) for args, kwargs in calls])]


def by_group(task, *calls):
    return [each.id for each in group(task.s(*args, **kwargs) for args, kwargs in calls).apply_async()]


@pytest.mark.parametrize("way", [by_delay, by_publish_many, by_group])
def test_only_the_message_has_them(app, alias, pay, way):
    calls = [((number, SECRET), {"data": {"token": SECRET, "at": 1}}) for number in range(4)]

    ids = way(pay, *calls)

    for number, task_id in enumerate(ids):
        assert shown(alias, task_id) == (f"({number}, '***')", "{'data': {'token': '***', 'at': 1}}")
        message = json.loads(Message.objects.using(alias).get(task_id=task_id).payload)
        args, kwargs, _ = json.loads(message["body"])
        assert (args, kwargs) == ([number, SECRET], {"data": {"token": SECRET, "at": 1}})
        assert SECRET not in json.dumps([message["headers"], message["properties"]])
        assert message["properties"].keys().isdisjoint({"argsrepr", "kwargsrepr"})
        record = json.loads(TaskRecord.objects.using(alias).get(task_id=task_id).message)
        assert record["body"][0] == [number, SECRET]


def test_they_go_the_short_way_too(app, alias, pay):
    pay.delay(1, SECRET)
    task_id = pay.delay(2, SECRET).id

    assert short_way.of(app).latest() is not None
    assert shown(alias, task_id) == ("(2, '***')", "{}")


def test_ones_own_reprs_stay(app, alias, pay):
    task_id = pay.apply_async((1, SECRET), argsrepr="(one card)").id

    assert shown(alias, task_id)[0] == "(one card)"


def test_an_error_is_stored_without_them(app, alias, pay):
    result = pay.delay(1, SECRET)
    message = json.loads(Message.objects.using(alias).get().payload)
    args, kwargs, _ = json.loads(message["body"])
    request = {**message["headers"], "hostname": "w@h", "delivery_info": {}, "is_eager": False}

    build_tracer(pay.name, pay, app=app)(result.id, args, kwargs, request)

    stored, attempt = row(alias, result.id), Attempt.objects.using(alias).get()
    assert attempt.message == "the bank refuses ***"
    assert stored.status == "FAILURE"
    assert not [text for text in (stored.result, stored.traceback, attempt.traceback) if SECRET in text]


def test_what_follows_in_a_chain_that_failed_tells_none_of_them(app, alias, pay):
    def bill(data, token=None, card=None):
        return data

    bill = app.task(bill, name="shop.bill", sensitive=["card"], shared=False)
    links = chain(pay.s(1, SECRET), bill.s(token=f"{SECRET}-2"), bill.si(1, card=f"{SECRET}-3"))
    last = links.apply_async()
    message = json.loads(Message.objects.using(alias).get().payload)
    args, kwargs, embedded = json.loads(message["body"])
    request = {**message["headers"], **embedded, "args": args, "kwargs": kwargs, "hostname": "w@h"}

    build_tracer(pay.name, pay, app=app)(
        message["headers"]["id"], args, kwargs, {**request, "delivery_info": {}, "is_eager": False}
    )

    for task_id in (last.parent.id, last.id):
        stored = row(alias, task_id)
        assert "the bank refuses ***" in stored.result
        assert not [name for name, value in vars(stored).items() if SECRET in str(value)]
