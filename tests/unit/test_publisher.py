"""What `delay()` leaves behind: the message, its PENDING row and the exact message in its record."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery, signals
from celery.app.amqp import AMQP
from django.db import transaction
from django.test import override_settings
from django_celery_results.models import TaskResult
from kombu.exceptions import EncodeError

from celeriac import publisher
from celeriac.app import get_app
from celeriac.broker.refusal import MessageTooLarge
from celeriac.models import Message, TaskRecord
from tests.results import current


@pytest.fixture(autouse=True)
def database(default_alias):
    return default_alias


@pytest.fixture
def task():
    app = get_app()

    @app.task(name="tests.publisher.add", shared=False)
    def add(x, y=0):
        return x + y

    yield add
    app.tasks.unregister("tests.publisher.add")


@pytest.fixture
def add_header():
    """A receiver of `before_task_publish` that adds a header, as tracing libraries do."""

    def add(headers=None, **_):
        headers["traceparent"] = "00-abc"

    signals.before_task_publish.connect(add)
    # Celery 5.5's sender keeps the list of receivers that it found, and a disconnection makes another one.
    get_app().amqp.__dict__.pop("send_task_message", None)
    yield
    signals.before_task_publish.disconnect(add)


def test_message_row_and_record_are_written_together(task):
    sent = task.delay(1, y=2)

    message = Message.objects.get(task_id=sent.id)
    row = TaskResult.objects.get(task_id=sent.id)
    record = TaskRecord.objects.get(task_id=sent.id)
    assert (message.queue, message.task_name) == ("celery", "tests.publisher.add")
    assert (row.status, row.task_name) == ("PENDING", "tests.publisher.add")
    assert (record.task_name, record.queue, record.priority) == ("tests.publisher.add", "celery", None)


def test_none_of_them_is_there_after_a_rollback(task):
    with transaction.atomic():
        task.delay(1)
        transaction.set_rollback(True)

    assert [model.objects.count() for model in (Message, TaskResult, TaskRecord)] == [0, 0, 0]


def test_the_record_has_the_exact_message(task, add_header):
    sent = task.apply_async((1,), {"y": 2}, priority=3)

    stored = json.loads(TaskRecord.objects.get().message)
    travelled = json.loads(Message.objects.get().payload)
    assert stored["headers"]["traceparent"] == travelled["headers"]["traceparent"] == "00-abc"
    assert stored["headers"]["id"] == sent.id
    assert {**travelled["headers"], **stored["headers"]} == travelled["headers"]
    assert stored["body"] == [
        [1],
        {"y": 2},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
    assert stored["route"]["queue"] == "celery"


def test_what_the_call_said_is_recorded(task):
    eta = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

    task.apply_async((1,), queue="post", priority=7, eta=eta, expires=eta + timedelta(hours=1))

    record = TaskRecord.objects.get()
    assert (record.queue, record.priority) == ("post", 7)
    assert (record.eta, record.expires) == (eta, eta + timedelta(hours=1))


def test_a_task_whose_result_is_ignored_has_a_record_and_no_row(task):
    task.apply_async((1,), ignore_result=True)

    assert TaskRecord.objects.count() == 1
    assert TaskResult.objects.count() == 0


def test_another_result_backend_gets_no_row(task):
    with override_settings(CELERY_RESULT_BACKEND="cache+memory://"):
        task.delay(1)

    assert TaskRecord.objects.count() == 1
    assert TaskResult.objects.count() == 0


def test_the_rows_are_those_of_the_tasks_own_app_in_a_project_with_two(task):
    with current(Celery("second", backend="cache+memory://", set_as_current=False)):
        task.delay(1)

    assert TaskResult.objects.get().status == "PENDING"


@pytest.mark.parametrize("broker", ["django://", "memory://"])
def test_arguments_that_json_cannot_hold_are_refused_with_the_cure(task, broker):
    with override_settings(CELERY_BROKER_URL=broker), pytest.raises(EncodeError) as raised:
        task.delay(object())

    text = str(raised.value)
    assert text.startswith("Task tests.publisher.add cannot be sent: ")
    assert "primary key" in text
    assert [model.objects.count() for model in (Message, TaskResult, TaskRecord)] == [0, 0, 0]


@pytest.mark.parametrize("broker", ["django://", "memory://"])
def test_a_message_over_the_limit_is_refused_with_both_sizes(task, broker):
    with (
        override_settings(CELERY_BROKER_URL=broker, CELERIAC={"MAX_MESSAGE_BYTES": 2000}),
        pytest.raises(MessageTooLarge) as raised,
    ):
        task.delay("x" * 2000)

    assert "The message of tests.publisher.add has" in str(raised.value)
    assert "more than 2,000" in str(raised.value)
    assert [model.objects.count() for model in (Message, TaskResult, TaskRecord)] == [0, 0, 0]


def test_the_limit_counts_bytes_not_letters(task):
    with override_settings(CELERIAC={"MAX_MESSAGE_BYTES": 4000}), pytest.raises(MessageTooLarge):
        task.delay("é" * 2000)


def test_a_transaction_goes_on_after_a_refused_task(task):
    with transaction.atomic():
        with pytest.raises(EncodeError):
            task.delay(object())
        kept = task.delay(1)

    assert Message.objects.get().task_id == kept.id


def test_installing_twice_records_once(task):
    publisher.install(get_app())

    task.delay(1)

    assert TaskRecord.objects.count() == 1


class OwnAMQP(AMQP):
    """What a project may have put there."""


@pytest.mark.parametrize("given", [OwnAMQP, "celery.app.amqp:AMQP", None])
def test_the_apps_own_amqp_class_stays_below_ours(given):
    app = Celery("publisher", amqp=given, set_as_current=False)
    publisher.install(app)

    assert isinstance(app.amqp, OwnAMQP if given is OwnAMQP else AMQP)
    assert app.amqp.send_task_message.__module__.startswith(publisher.__name__)


@pytest.mark.parametrize("task_id", ["i" * 256, "a\x00b"])
def test_an_id_that_no_row_can_hold_is_refused_in_one_line(task, task_id):
    with pytest.raises(ValueError, match="A task_id is text of at most 255 characters") as raised:
        task.apply_async((1,), task_id=task_id)

    assert len(str(raised.value).splitlines()) == 1
    assert Message.objects.count() == 0


def test_the_longest_id_is_taken(task):
    sent = task.apply_async((1,), task_id="i" * 255)

    assert TaskResult.objects.get().task_id == sent.id
