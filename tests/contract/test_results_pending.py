"""The rows of a published task: in the message's transaction, or after the caller's commit."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from celery import states
from django.db import OperationalError, connections, transaction
from django.test import override_settings
from django_celery_results.models import TaskResult

from celeriac.models import TaskRecord
from celeriac.results import pending, upsert
from celeriac.results.pending import Published, record_publish
from tests.results import make_app, mark, record, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


def published(task_id="a", **given):
    known = {
        "name": "shop.pay",
        "args_repr": "(1,)",
        "kwargs_repr": "{}",
        "queue": "mail",
        "message": '{"x": 1}',
    }
    return Published(task_id=task_id, **{**known, **given})


def rows():
    return TaskResult.objects.count(), TaskRecord.objects.count()


def test_a_published_task_has_its_rows_at_once(app, alias):
    eta = datetime(2030, 1, 1, tzinfo=UTC)

    record_publish(
        app.backend, alias, published(priority=3, eta=eta, parent_id="p", root_id="r", group_id="g")
    )

    result, found = app.AsyncResult("a"), record(alias, "a")
    assert (result.state, result.name, result.args, result.kwargs) == (
        states.PENDING,
        "shop.pay",
        "(1,)",
        "{}",
    )
    assert (found.task_name, found.queue, found.priority, found.eta) == ("shop.pay", "mail", 3, eta)
    assert (found.parent_id, found.root_id, found.group_id, found.message) == ("p", "r", "g", '{"x": 1}')
    assert found.published_at is not None


def test_a_rolled_back_publish_leaves_nothing(app, alias):
    with transaction.atomic(using=alias):
        record_publish(app.backend, alias, published())
        assert rows() == (1, 1)
        transaction.set_rollback(True, using=alias)

    assert rows() == (0, 0)


def test_on_another_broker_nothing_is_written_before_the_commit(app, alias):
    with transaction.atomic(using=alias):
        record_publish(app.backend, None, published())
        assert rows() == (0, 0)

    assert rows() == (1, 1)


def test_on_another_broker_outside_of_a_transaction_the_rows_are_there_at_once(app, alias):
    record_publish(app.backend, None, published())

    assert rows() == (1, 1)


def test_on_another_database_the_rows_follow_the_messages_commit(databases):
    app = make_app()
    with results_in(databases.get("sqlite")):
        other = databases.get("postgresql")

        with transaction.atomic(using=other):
            record_publish(app.backend, other, published("rolled back"))
            transaction.set_rollback(True, using=other)
        with transaction.atomic(using=other):
            record_publish(app.backend, other, published("committed"))
            assert rows() == (0, 0)

        assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["committed"]


def test_a_worker_that_was_faster_keeps_its_state(app, alias):
    with transaction.atomic(using=alias):
        record_publish(app.backend, None, published())
    upsert.write(connections[alias], [mark("b", states.SUCCESS, result="1")])

    record_publish(app.backend, None, published("b"))

    assert row(alias, "b").status == states.SUCCESS


def test_a_task_that_ignores_its_result_has_a_record_only(app, alias):
    record_publish(app.backend, alias, published(ignore_result=True))

    assert rows() == (0, 1)


def test_with_another_result_backend_there_is_a_record_only(alias):
    app = make_app()
    app.backend_cls = "celery.backends.cache:CacheBackend"
    app.conf.cache_backend = "memory"
    with results_in(alias):
        record_publish(app.backend, alias, published())

    with results_in(alias):
        assert rows() == (0, 1)


def test_without_result_extended_the_row_has_no_arguments(alias):
    app = make_app(result_extended=False)
    with results_in(alias):
        record_publish(app.backend, alias, published())

        found = row(alias, "a")
        assert (found.task_name, found.task_args, found.task_kwargs) == (None, None, None)


def test_a_failing_row_on_another_broker_is_logged_and_not_raised(app, alias, monkeypatch, caplog):
    monkeypatch.setattr(pending, "_write", _fail)

    with caplog.at_level(logging.ERROR):
        record_publish(app.backend, None, published())

    assert "shop.pay[a] was published" in caplog.text


def test_on_another_broker_an_async_view_has_its_rows_too(app, alias):
    async def view():
        record_publish(app.backend, None, published())

    asyncio.run(view())

    assert rows() == (1, 1)


def test_a_failing_row_in_an_async_view_is_logged_and_not_raised(app, alias, monkeypatch, caplog):
    write, writing = pending._write, []

    def fail_in_the_thread(*known):
        writing.append(known)
        if len(writing) > 1:
            raise ValueError("whatever it is")
        write(*known)

    monkeypatch.setattr(pending, "_write", fail_in_the_thread)

    async def view():
        record_publish(app.backend, None, published())

    asyncio.run(view())

    assert len(writing) == 2
    assert "shop.pay[a] was published" in caplog.text


def test_a_failing_row_in_the_messages_transaction_is_raised(app, alias, monkeypatch):
    monkeypatch.setattr(pending, "_write", _fail)

    with pytest.raises(OperationalError, match="disk full"):
        record_publish(app.backend, alias, published())


def _fail(*_):
    raise OperationalError("disk full")


def test_a_time_without_zone_is_utc(app, alias):
    record_publish(app.backend, alias, published(eta=datetime(2030, 1, 1, 12)))  # noqa: DTZ001 - that is the case

    assert record(alias, "a").eta == datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_times_are_stored_where_the_project_has_no_time_zones(app, alias):
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        record_publish(
            app.backend, alias, published(eta=datetime(2030, 1, 1, 12, tzinfo=UTC) + timedelta(hours=1))
        )
        app.backend.store_result("a", 1, states.SUCCESS)

        assert record(alias, "a").eta.hour == 13
        assert app.AsyncResult("a").get(timeout=1) == 1
