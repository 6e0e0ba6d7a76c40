"""The outbox at the publish: a row in the caller's transaction, and the same message after its commit."""

import json

import pytest
from celery import chain, group, states
from django.db import connections, transaction
from django.test import override_settings
from django_celery_results.models import TaskResult
from kombu import Exchange, Queue

import celeriac
from celeriac.models import Outbox, TaskRecord
from tests import outbox
from tests.broker import wait_until
from tests.outbox import is_empty, leave_to_workers, received, relaying, waiting
from tests.results import results_in


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request):
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def app(alias, redis_url):
    """Over each database; one broker is as good as the other where it is only the far end."""
    with outbox.outbox_in(alias):
        made = outbox.make_app(redis_url)
        yield made
        outbox.close()


@pytest.fixture
def exact_app(default_alias, url):
    """Over each broker, with queues of all kinds."""
    with outbox.outbox_in(default_alias):
        topic = Exchange("post", type="topic")
        queues = (Queue("celery"), Queue("letters", topic, "letters.#", max_length=1000))
        made = outbox.make_app(url, task_queues=queues)
        yield made
        outbox.close()


def note(app):
    return app.tasks["tests.note"]


def states_of(alias):
    return dict(TaskResult.objects.using(alias).values_list("task_id", "status"))


def test_a_task_is_sent_after_the_commit_and_its_rows_are_a_part_of_it(app, alias):
    with transaction.atomic(using=alias):
        result = note(app).delay(1)
        assert waiting(alias) == 1
        assert is_empty(app)

    (message,) = received(app)
    assert message.headers["id"] == result.id
    assert states_of(alias) == {result.id: states.PENDING}
    assert TaskRecord.objects.using(alias).get().task_id == result.id
    assert waiting(alias) == 0


def test_a_rollback_publishes_nothing_whatever_was_called(app, alias):
    task = note(app)
    with transaction.atomic(using=alias):
        task.delay(1)
        app.send_task("tests.note", (2,))
        chain(task.si(3), task.si(4)).delay()
        group(task.si(number) for number in range(3)).delay()
        celeriac.publish_many(task.s(number) for number in range(3))
        with celeriac.bulk():
            task.apply_async((5,), countdown=3600)
        assert waiting(alias) == 10
        transaction.set_rollback(True, using=alias)

    assert waiting(alias) == 0
    assert states_of(alias) == {}
    assert is_empty(app)


def test_an_inner_rollback_takes_its_own_tasks_along(app, alias):
    task = note(app)
    with transaction.atomic(using=alias):
        kept = [task.delay(1).id]
        with transaction.atomic(using=alias):
            task.delay(2)
            transaction.set_rollback(True, using=alias)
        kept.append(task.delay(3).id)

    assert [message.headers["id"] for message in received(app, count=2)] == kept
    assert is_empty(app)
    assert set(states_of(alias)) == set(kept)


def test_outside_of_a_transaction_it_is_sent_before_delay_returns(app, alias):
    results = [note(app).delay(1), *celeriac.publish_many([note(app).s(2), note(app).s(3)])]

    assert waiting(alias) == 0
    assert [message.headers["id"] for message in received(app, count=3)] == [each.id for each in results]


def test_a_manual_commit_is_seen_by_the_workers(app, alias):
    connection = connections[alias]
    connection.ensure_connection()
    connection.set_autocommit(False)
    try:
        result = note(app).delay(1)
        assert is_empty(app)
        connection.commit()
    finally:
        connection.set_autocommit(True)

    with relaying(app, alias):
        assert received(app)[0].headers["id"] == result.id
        wait_until(lambda: waiting(alias) == 0, "the row goes")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "letters", "routing_key": "letters.red", "priority": 7},
        {"countdown": 3600, "expires": 7200, "headers": {"colour": "grün"}, "shadow": "seen as"},
        {"serializer": "pickle", "compression": "zlib"},
        {"queue": Queue("elsewhere", Exchange("elsewhere"), "there", message_ttl=3600.0)},
    ],
    ids=["plain", "topic", "delayed", "bytes", "a queue of its own"],
)
def test_what_a_worker_relays_is_what_would_have_been_sent(exact_app, default_alias, options):
    app, queue = exact_app, options.get("queue", "celery")
    if isinstance(queue, Queue):
        app.amqp.queues.select_add(queue)
    with override_settings(CELERIAC={}):
        note(app).apply_async((1,), task_id="same", **options)
        (direct,) = received(app, getattr(queue, "name", queue))
    leave_to_workers(app)

    note(app).apply_async((1,), task_id="same", **options)

    assert waiting(default_alias) == 1
    with relaying(app, default_alias):
        (relayed,) = received(app, getattr(queue, "name", queue))
    assert told(relayed) == told(direct)


def told(message):
    """All that a message says, but for what is another one each time."""
    times = {"eta", "expires"}
    headers = {key: bool(value) if key in times else value for key, value in message.headers.items()}
    others = {"delivery_tag", "application_headers"}
    properties = {key: value for key, value in message.properties.items() if key not in others}
    info = {key: value for key, value in message.delivery_info.items() if key in {"exchange", "routing_key"}}
    return message.body, message.content_type, message.content_encoding, headers, properties, info


# On Redis an event is for whoever listens at that moment.
@pytest.mark.parametrize("url", ["rabbitmq"], indirect=True)
def test_an_event_of_the_publish_goes_the_same_way(exact_app, default_alias):
    exact_app.conf.task_send_sent_event = True
    exact_app.amqp.__dict__.pop("send_task_message", None)
    exact_app.amqp.queues.select_add(Queue("watch", Exchange("celeryev", type="topic"), "#"))
    with exact_app.connection_for_read() as connection:
        exact_app.amqp.queues["watch"](connection.default_channel).declare()
    leave_to_workers(exact_app)

    result = note(exact_app).delay(1)

    assert waiting(default_alias) == 2
    with relaying(exact_app, default_alias):
        assert received(exact_app)[0].headers["id"] == result.id
        assert received(exact_app, "watch")[0].payload["uuid"] == result.id


def test_what_json_cannot_hold_is_an_error_at_the_call_and_nothing_is_written(app, alias):
    with pytest.raises(Exception, match="cannot be sent"):
        note(app).apply_async((1,), headers={"thing": object()})

    assert waiting(alias) == 0
    assert states_of(alias) == {}


def test_a_row_says_what_it_is(app, alias):
    leave_to_workers(app)
    result = note(app).apply_async((1,), queue="letters")

    row = Outbox.objects.using(alias).get()
    assert (row.queue, row.task_id, row.task_name) == ("letters", result.id, "tests.note")
    assert json.loads(row.payload)["headers"]["id"] == result.id


def test_messages_in_a_database_need_no_outbox(alias):
    with results_in(alias), override_settings(CELERIAC={"OUTBOX": True}):
        app = outbox.make_app(f"django://{alias}")
        note(app).delay(1)

        assert waiting(alias) == 0
