"""The short way makes what Celery's own way makes, letter for letter, and steps aside for everybody else."""

import json
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from celery import signals
from django.db import transaction
from django.test import override_settings
from django_celery_results.models import TaskResult

from celeriac.app import get_app
from celeriac.models import Message, TaskRecord
from celeriac.publisher import short_way

ARGUMENTS = {
    "none": ((), {}),
    "numbers": ((1, 2.5, True, None), {}),
    "plain words": ((1, -5, 10**30, True, False, None, "text ö € 😀", ""), {"a": "b"}),
    "words that are not": (("it's", '"', "\\", "\t"), {}),
    "named": ((1,), {"y": "two"}),
    "quotes": (("it's", 'a "b"', "back\\slash", "%s %d %%"), {"y": "new\nline\x00"}),
    "unicode": (("ünï 漢字 😀", "\ud800"), {"é": 1}),
    "nested": (([1, [2, [3, [4, [5]]]]], {"a": {"b": (1,)}}), {"y": {"deep": [{}]}}),
    "long": (("x" * 3000,), {"y": list(range(900))}),
    "many": (tuple(range(40)), {}),
    "date": ((datetime(2030, 1, 1, tzinfo=UTC), uuid.UUID(int=5)), {}),
    "list": ([1, 2], {}),
}
OPTIONS = {
    "plain": {},
    "priority": {"priority": 3},
    "queue": {"queue": "post %s"},
    "limits": {"time_limit": 9, "soft_time_limit": 5.5},
    "ignored": {"ignore_result": True},
    "shadow": {"shadow": 'it\'s "%s"'},
    "family": {"root_id": "r", "parent_id": "p", "group_id": "g %", "group_index": 7},
    "transient": {"delivery_mode": 1},
}


@pytest.fixture(autouse=True)
def database(default_alias):
    return default_alias


@pytest.fixture
def task():
    app = get_app()

    @app.task(name="tests.short.%s", shared=False, typing=False)
    def anything(*args, **kwargs):
        """Nothing: it is only published."""

    short_way.of(app).forget()
    yield anything
    app.tasks.unregister("tests.short.%s")


@pytest.fixture
def celerys(monkeypatch):
    """The ids of the calls that went Celery's way."""
    ids, way = [], short_way.ShortWay._celerys

    def note(self, *args, **options):
        result = way(self, *args, **options)
        ids.append(result.id)
        return result

    monkeypatch.setattr(short_way.ShortWay, "_celerys", note)
    return ids


@contextmanager
def heard(signal):
    """Somebody listens, so that each call goes Celery's way."""
    said = []

    def note(sender=None, headers=None, **_):
        said.append(headers["id"])

    signal.connect(note)
    # Celery 5.5's sender keeps the list of receivers that it found, and a disconnection makes another one.
    get_app().amqp.__dict__.pop("send_task_message", None)
    try:
        yield said
    finally:
        signal.disconnect(note)


def published(task_id):
    """All columns of the three rows, apart from times, keys, and the tag that no consumer reads."""
    message, record = Message.objects.get(task_id=task_id), TaskRecord.objects.get(task_id=task_id)
    payload = json.loads(message.payload)
    tag = payload["properties"]["delivery_tag"]
    assert uuid.UUID(tag).version == 4
    rows = [message, record, *TaskResult.objects.filter(task_id=task_id)]
    hidden = {"id", "_state", "available_at", "published_at", "date_created", "date_done"}
    found = [{key: value for key, value in vars(row).items() if key not in hidden} for row in rows]
    found[0]["payload"] = message.payload.replace(tag, "tag")
    return found


def forget(task_id):
    for model in (Message, TaskRecord, TaskResult):
        model.objects.filter(task_id=task_id).delete()


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("args", "kwargs"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_it_publishes_what_celery_publishes(task, celerys, args, kwargs, options):
    task.apply_async(("another",), {}, **options)
    result = task.apply_async(args, kwargs, task_id="one", **options)
    short = published("one")
    assert len(celerys) == 1
    forget("one")

    with heard(signals.before_task_publish):
        by_celery = task.apply_async(args, kwargs, task_id="one", **options)

    assert len(celerys) == 2
    assert short == published("one")
    assert (type(result), result.id, result.ignored) == (type(by_celery), "one", by_celery.ignored)


@pytest.mark.parametrize(
    "options",
    [
        {"countdown": 60},
        {"eta": datetime(2030, 1, 1, tzinfo=UTC)},
        {"expires": 60},
        {"link": {"task": "a", "args": (), "kwargs": {}, "options": {}}},
        {"headers": {"x": 1}},
        {"reply_to": "me"},
        {"task_id": "ü"},
    ],
    ids=["countdown", "eta", "expires", "link", "headers", "reply_to", "id"],
)
def test_other_options_go_celerys_way(task, celerys, options):
    sent = [task.apply_async((1,), **options).id for _ in range(2)]

    assert celerys == sent


@pytest.mark.parametrize("signal", ["before_task_publish", "after_task_publish"])
def test_receivers_of_signals_hear_of_each_task(task, signal):
    task.delay(1)
    with heard(getattr(signals, signal)) as said:
        sent = [task.delay(number).id for number in range(3)]

    assert said == sent


def test_a_router_is_asked_for_each_task(task, celerys):
    def route(name, args, kwargs, options, task=None, **_):
        return {"queue": f"queue{args[0]}"}

    with override_settings(CELERY_TASK_ROUTES=[route]):
        get_app().amqp.flush_routes()
        get_app().amqp.router = get_app().amqp.Router()
        try:
            for number in range(3):
                task.delay(number)
        finally:
            get_app().amqp.__dict__.pop("router")
            get_app().amqp._rtable = None

    assert [each.queue for each in Message.objects.order_by("id")] == ["queue0", "queue1", "queue2"]


def test_a_setting_that_changes_holds_at_once(task):
    task.delay(1)
    with override_settings(CELERY_RESULT_EXTENDED=False):
        task.apply_async((1,), task_id="bare")

    assert TaskResult.objects.get(task_id="bare").task_args is None


def test_a_setting_of_the_app_that_changes_holds_at_once(task):
    task.delay(1)
    get_app().conf.result_extended = False
    try:
        task.apply_async((1,), task_id="bare")
    finally:
        del get_app().conf.changes["result_extended"]

    assert TaskResult.objects.get(task_id="bare").task_args is None


def test_a_wrapper_around_celerys_own_method_is_called(task, monkeypatch):
    task.delay(1)
    base, seen = type(get_app()).send_task, []

    def traced(self, *args, **options):
        seen.append(args[0])
        return base(self, *args, **options)

    monkeypatch.setattr(type(get_app()), "send_task", traced)
    short_way.of(get_app()).forget()
    for _ in range(3):
        task.delay(1)

    assert seen == [task.name] * 3


def test_what_was_learnt_in_a_transaction_that_is_rolled_back_is_no_part_of_the_next(task):
    with transaction.atomic():
        task.delay(1)
        task.delay(2)
        transaction.set_rollback(True)
    task.delay(3)

    assert [model.objects.count() for model in (Message, TaskResult, TaskRecord)] == [1, 1, 1]


def test_one_and_true_are_not_the_same_option(task):
    task.apply_async((1,), ignore_result=False, task_id="kept")
    task.apply_async((1,), ignore_result=0, task_id="kept too")

    stored = [
        json.loads(each.message)["headers"]["ignore_result"] for each in TaskRecord.objects.order_by("id")
    ]
    assert stored == [False, 0]
    assert stored[1] is not False
