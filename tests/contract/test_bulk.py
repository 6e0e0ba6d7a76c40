"""Publishing many tasks: a handful of statements, one transaction, the caller's own; on every database."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from queue import Empty

import pytest
from celery import Celery, chain, chord, group, signals
from django.db import OperationalError, connections, transaction
from django.test import override_settings
from django_celery_results.models import TaskResult
from kombu import pools
from kombu.exceptions import EncodeError

import celeriac
from celeriac import publisher
from celeriac.broker import writing
from celeriac.broker.refusal import MessageTooLarge
from celeriac.database import copying, transactions
from celeriac.errors import TablesMissing
from celeriac.models import Message, TaskRecord
from tests.results import BACKEND, counted_queries, current, results_in

#: Statements for 10,000 tasks at the most, with BEGIN, COMMIT and NOTIFY.
MOST_STATEMENTS = {"sqlite": 7, "postgresql": 7, "mysql": 19}


TABLES = (Message, TaskRecord, TaskResult)


class TaskName(StrEnum):
    PAY = "shop.pay"


@pytest.fixture
def app(broker) -> Iterator[Celery]:
    """An app whose messages and results are in the database."""
    made = Celery("shop", set_as_current=False, broker=f"django://{broker}", backend=BACKEND)
    made.conf.result_extended = True
    publisher.install(made)

    @made.task(name="shop.pay", shared=False)
    def pay(number, of=None):
        """Nothing: it is only published."""

    @made.task(name="shop.send", shared=False)
    def send(*numbers):
        """Nothing: it is only published."""

    with results_in(broker), current(made):
        pay.delay(0)
        _forget(broker)
        yield made
    pools.reset()


@pytest.fixture
def pay(app):
    return app.tasks["shop.pay"]


@pytest.fixture
def send(app):
    return app.tasks["shop.send"]


def _forget(alias):
    for model in (Message, TaskRecord, TaskResult):
        model.objects.using(alias).all().delete()


def _published(alias):
    """(task, first argument) of each message, in the order in which they are claimed."""
    rows = Message.objects.using(alias).order_by("id").values_list("payload", flat=True)
    return [(each["headers"]["task"], json.loads(each["body"])[0][0]) for each in map(json.loads, rows)]


def _counts(alias):
    return [model.objects.using(alias).count() for model in (Message, TaskResult, TaskRecord)]


def _insertions(statements):
    return [each for each in statements if "INSERT INTO celeriac_message " in each]


def test_ten_thousand_tasks_are_a_handful_of_statements(broker, pay):
    with counted_queries(broker) as statements:
        results = celeriac.publish_many(pay.s(number) for number in range(10_000))

    assert len(statements) <= MOST_STATEMENTS[connections[broker].vendor], statements
    assert _counts(broker) == [10_000] * 3
    ids = list(Message.objects.using(broker).order_by("id").values_list("task_id", flat=True))
    assert ids == [result.id for result in results]


#: What means something else in a text of COPY, in JSON or in SQL.
STRANGE = ["\\", "\\N", "\t\n\r", "\b\f\v", "%s", "'\"", "ö€😀", "\u2028", "", None]


def test_many_rows_are_the_same_as_one(broker, pay):
    """More than PostgreSQL takes in one statement, where they go by COPY."""
    arguments = [(STRANGE[number % len(STRANGE)], number) for number in range(2 * copying.FEWEST_ROWS)]
    by_many = [each.id for each in celeriac.publish_many([pay.s(*each) for each in arguments])]
    by_one = [pay.delay(*each).id for each in arguments[: len(STRANGE)]]

    def seen(model, task_id):
        row = model.objects.using(broker).values().get(task_id=task_id)
        texts = {name: value.replace(task_id, "ID") for name, value in row.items() if isinstance(value, str)}
        tag = json.loads(texts.get("payload", "{}")).get("properties", {}).get("delivery_tag", "TAG")
        return {name: text.replace(tag, "TAG") for name, text in texts.items()}

    for one, many in zip(by_one, by_many, strict=False):
        for model in (Message, TaskResult, TaskRecord):
            assert seen(model, many) == seen(model, one)


@pytest.mark.parametrize("count", [20, 150])
def test_a_name_that_is_an_enum_is_what_it_says(app, pay, broker, count):
    with celeriac.bulk():
        for number in range(count):
            app.send_task(TaskName.PAY, (number,))

    names = [set(model.objects.using(broker).values_list("task_name", flat=True)) for model in TABLES]
    assert names == [{"shop.pay"}] * 3


def test_within_a_block_others_may_make_the_row_first(app, pay, broker):
    with celeriac.bulk():
        linked, queued, again = pay.delay(1), pay.delay(2), pay.delay(3)
        (many,) = celeriac.publish_many([pay.s(4)])
        for result in (linked, many):
            TaskResult.objects.using(broker).get_or_create(task_id=result.id)
        pay.update_state(task_id=queued.id, state="QUEUED")
        with transaction.atomic(using=broker):
            pay.apply_async((3,), task_id=again.id)

    assert _counts(broker) == [5, 4, 4]
    assert app.AsyncResult(queued.id).state == "QUEUED"


@pytest.mark.parametrize("is_one", [True, False])
def test_what_was_committed_although_the_connection_was_lost_is_published_once(
    pay, broker, is_one, monkeypatch
):
    connection, lost = connections[broker], []
    insert = writing.insert_all

    def insert_and_lose(*args, **options):
        insert(*args, **options)
        if not lost:
            lost.append(transactions.commit(connection))
            raise OperationalError(2013, "server closed the connection unexpectedly")

    pay.delay(0)
    _forget(broker)
    monkeypatch.setattr(writing, "insert_all", insert_and_lose)

    if is_one:
        pay.delay(1)
    else:
        celeriac.publish_many([pay.s(number) for number in range(150)])

    assert lost
    assert _counts(broker) == [1 if is_one else 150] * 3


@pytest.mark.parametrize("count", [50, 150])
def test_nothing_is_published_in_a_transaction_that_is_broken(pay, broker, count):
    with suppress(ValueError), transaction.atomic(using=broker):
        with suppress(ValueError), transaction.atomic(using=broker, savepoint=False):
            raise ValueError
        with pytest.raises(transaction.TransactionManagementError):
            celeriac.publish_many([pay.s(number) for number in range(count)])
        raise ValueError

    assert _counts(broker) == [0, 0, 0]


def test_what_a_generator_rolls_back_is_not_published(pay, broker):
    def signatures():
        for number in range(3):
            yield pay.s(number)
        with suppress(ValueError), transaction.atomic(using=broker):
            for number in range(3, 120):
                yield pay.s(number)
            raise ValueError
        yield pay.s(120)

    celeriac.publish_many(signatures())

    assert [number for _, number in _published(broker)] == [0, 1, 2, 120]


def test_one_delay_is_as_few_statements_as_the_database_allows(broker, pay):
    pay.delay(1)
    with counted_queries(broker) as statements:
        pay.delay(2)

    is_postgresql = connections[broker].vendor == "postgresql"
    written = [each for each in statements if "pg_notify" not in each]
    assert len(written) == (1 if is_postgresql else 5), statements


def test_one_delay_in_a_transaction_of_postgresql_has_no_savepoint(broker, pay):
    pay.delay(1)
    with transaction.atomic(using=broker), counted_queries(broker) as statements:
        pay.delay(2)

    if connections[broker].vendor == "postgresql":
        assert len(statements) == 1, statements
    assert _counts(broker) == [2, 2, 2]


@contextmanager
def hidden(alias, table):
    """The table has another name within."""

    def rename(old, new):
        with connections[alias].cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename(table, "hidden_table")
    try:
        yield
    finally:
        rename("hidden_table", table)


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("is_in_transaction", [False, True])
def test_a_row_that_fails_takes_the_message_along(broker, pay, is_in_transaction, tasks):
    around = transaction.atomic(using=broker) if is_in_transaction else nullcontext()
    refused = pytest.raises(TablesMissing, match="Run: python manage")
    with hidden(broker, "celeriac_taskrecord"), around, refused:
        celeriac.publish_many([pay.s(number) for number in range(tasks)])

    assert _counts(broker) == [0, 0, 0]


def test_a_block_publishes_in_the_order_of_the_calls(broker, pay, send):
    with celeriac.bulk():
        for number in range(6):
            (pay, send)[number % 2].delay(number)
        assert _counts(broker) == [0, 0, 0]

    expected = [(("shop.pay", "shop.send")[number % 2], number) for number in range(6)]
    assert _published(broker) == expected


def test_what_is_rolled_back_never_existed(broker, pay):
    with transaction.atomic(using=broker):
        celeriac.publish_many(pay.s(number) for number in range(5))
        assert _counts(broker) == [5, 5, 5]
        transaction.set_rollback(True, using=broker)

    assert _counts(broker) == [0, 0, 0]


def test_an_error_in_the_block_publishes_nothing(broker, pay):
    def fail():
        with celeriac.bulk():
            pay.delay(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    pay.delay(2)

    assert _published(broker) == [("shop.pay", 2)]


def test_a_block_within_a_block_is_a_part_of_it(broker, pay):
    def fail():
        with celeriac.bulk():
            celeriac.publish_many([pay.s(1)])
            with celeriac.bulk():
                pay.delay(2)
            assert _counts(broker) == [0, 0, 0]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _counts(broker) == [0, 0, 0]


def test_a_transaction_within_the_block_takes_its_tasks_along(broker, pay):
    with celeriac.bulk():
        pay.delay(1)
        with transaction.atomic(using=broker):
            pay.delay(2)
            transaction.set_rollback(True, using=broker)
        with transaction.atomic(using=broker):
            pay.delay(3)
        pay.delay(4)

    assert _published(broker) == [("shop.pay", 3), ("shop.pay", 1), ("shop.pay", 4)]


@pytest.mark.parametrize("bad", [object(), "x" * 3000], ids=["not JSON", "too large"])
def test_one_that_cannot_be_published_is_an_error_of_one_line_and_none_is(broker, pay, bad):
    with (
        override_settings(CELERIAC={"MAX_MESSAGE_BYTES": 2000}),
        pytest.raises((EncodeError, MessageTooLarge)) as raised,
    ):
        celeriac.publish_many([pay.s(1), pay.s(2), pay.s(bad), pay.s(3)])

    assert len(str(raised.value).splitlines()) == 1
    assert "shop.pay" in str(raised.value)
    assert _counts(broker) == [0, 0, 0]


def test_a_wrong_call_is_an_error_and_none_is_published(broker, pay):
    with pytest.raises(TypeError):
        celeriac.publish_many([pay.s(1), pay.s(2), pay.s(1, 2, 3, 4), pay.s(3)])

    assert _counts(broker) == [0, 0, 0]


def test_one_that_is_refused_and_caught_within_a_block_leaves_the_others(broker, pay):
    with celeriac.bulk():
        pay.delay(1)
        with pytest.raises(EncodeError):
            pay.delay(object())
        pay.delay(2)

    assert _published(broker) == [("shop.pay", 1), ("shop.pay", 2)]


def test_an_id_that_is_published_twice_is_two_messages_and_one_row(broker, pay):
    celeriac.publish_many([pay.s(1).set(task_id="same"), pay.s(2), pay.s(3).set(task_id="same")])

    assert _counts(broker) == [3, 2, 2]
    record = TaskRecord.objects.using(broker).get(task_id="same")
    assert json.loads(record.message)["body"][0] == [1]


def test_options_are_those_of_each_call(broker, pay, send):
    celeriac.publish_many(
        [
            pay.s(1).set(priority=7),
            pay.s(2).set(countdown=60, queue="later"),
            pay.s(3).set(link=send.s()),
            pay.s(4).set(ignore_result=True),
            send.s(5, 6),
        ]
    )

    rows = list(Message.objects.using(broker).order_by("id"))
    assert [each.turn for each in rows] == [2, 9, 9, 9, 9]
    assert [each.state for each in rows] == [1, 0, 1, 1, 1]
    assert [each.queue for each in rows] == ["celery", "later", "celery", "celery", "celery"]
    assert json.loads(json.loads(rows[2].payload)["body"])[2]["callbacks"][0]["task"] == "shop.send"
    assert _counts(broker) == [5, 4, 5]


@pytest.mark.parametrize("name", ["before_task_publish", "after_task_publish"])
def test_receivers_of_signals_hear_of_each_task(broker, app, pay, name):
    signal, said = getattr(signals, name), []

    def note(headers=None, **_):
        said.append(headers["id"])

    signal.connect(note)
    app.amqp.__dict__.pop("send_task_message", None)
    try:
        results = celeriac.publish_many([pay.s(number) for number in range(4)])
    finally:
        signal.disconnect(note)

    assert said == [result.id for result in results]
    assert _counts(broker) == [4, 4, 4]


@pytest.mark.parametrize(
    ("make", "tasks"),
    [
        (lambda pay, _: group(pay.s(number) for number in range(20)), 20),
        (lambda pay, _: group([group([pay.s(1), pay.s(2)]), group([pay.s(3)]), pay.s(4)]), 4),
        (lambda pay, send: chord([pay.s(number) for number in range(20)], send.si()), 20),
        (lambda pay, _: pay.chunks(zip(range(20), range(20), strict=True), 2), 10),
        (lambda pay, send: chain(group([pay.s(1), pay.s(2)]), send.si()), 2),
    ],
    ids=["group", "nested", "chord", "chunks", "chain"],
)
def test_a_group_is_published_together(broker, pay, send, make, tasks):
    work = make(pay, send)
    with counted_queries(broker) as statements:
        result = work.apply_async()

    assert len(_insertions(statements)) == 1, statements
    assert Message.objects.using(broker).count() == tasks
    assert set(TaskRecord.objects.using(broker).values_list("group_id", flat=True)) != {None}
    children = result.results if hasattr(result, "results") else result.parent.results
    assert len(children) >= 2


def test_a_record_that_a_worker_made_first_is_filled(broker, pay):
    TaskRecord.objects.using(broker).create(task_id="early", task_name="shop.pay", attempts=1)
    celeriac.publish_many([pay.s(1).set(task_id="early"), pay.s(2)])

    record = TaskRecord.objects.using(broker).get(task_id="early")
    assert (record.queue, record.attempts) == ("celery", 1)
    assert json.loads(record.message)["body"][0] == [1]


def test_nothing_to_publish_is_no_statement(broker, app):
    with counted_queries(broker) as statements:
        assert celeriac.publish_many([]) == []
        with celeriac.bulk():
            pass

    assert statements == []


@pytest.mark.parametrize("url", ["redis_url", "rabbitmq_url"])
def test_on_another_broker_a_block_sends_at_its_end(request, default_alias, url):
    made = Celery("shop", set_as_current=False, broker=request.getfixturevalue(url), backend=BACKEND)
    publisher.install(made)

    @made.task(name="shop.pay", shared=False)
    def pay(numbers):
        """Nothing: it is only published."""

    with current(made):
        changed = [1]
        with suppress(KeyError), celeriac.bulk():
            pay.delay(["never"])
            raise KeyError
        with celeriac.bulk():
            pay.delay(changed)
            changed.append(2)
            pay.delay(changed)
            assert TaskRecord.objects.count() == 0
        with made.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            bodies = [queue.get(timeout=10).payload[0] for _ in range(2)]
            with pytest.raises(Empty):
                queue.get(block=False)
    pools.reset()

    assert bodies == [[[1]], [[1, 2]]]
    assert [TaskResult.objects.count(), TaskRecord.objects.count()] == [2, 2]
