"""The backend `django-db` as Celery uses it: what a worker stores, AsyncResult reads."""

from datetime import timedelta

import pytest
from celery import states
from celery.app.trace import build_tracer
from celery.result import AsyncResult
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from django_celery_results.managers import TxIsolationWarning
from django_celery_results.models import GroupResult, TaskResult

from celeriac.results import upsert
from tests.databases import emptied_afterwards
from tests.results import context, make_app, mark, publish_record, publish_row, record, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


def run(app, task, *args, task_id="a", **request):
    """Run a task as a worker does."""
    given = {
        "id": task_id,
        "argsrepr": repr(args),
        "kwargsrepr": "{}",
        "hostname": "w@h",
        "delivery_info": {},
    }
    tracer = build_tracer(task.name, task, app=app)
    return tracer(task_id, args, {}, {**given, "task": task.name, "is_eager": False, **request})


def test_a_task_that_succeeds_is_read_by_async_result(app, alias):
    def double(number):
        return {"twice": 2 * number}

    run(app, app.task(double, name="shop.double", shared=False), 21)

    result = app.AsyncResult("a")
    assert result.get(timeout=1) == {"twice": 42}
    assert (result.state, result.name, result.worker) == (states.SUCCESS, "shop.double", "w@h")
    assert (result.args, result.kwargs, result.traceback) == ("(21,)", "{}", None)
    assert timezone.now() - result.date_done < timedelta(minutes=1)
    stored = row(alias, "a")
    assert stored.date_created <= stored.date_started <= stored.date_done


def test_a_task_that_fails_raises_its_error_where_it_is_awaited(app):
    def fail():
        raise ValueError("no stock")

    run(app, app.task(fail, name="shop.fail", shared=False))

    result = app.AsyncResult("a")
    with pytest.raises(ValueError, match="no stock"):
        result.get(timeout=1)
    assert (result.state, "no stock" in result.traceback) == (states.FAILURE, True)


def test_a_result_that_cannot_be_serialized_ends_as_a_failure_that_says_so(app, alias):
    def odd():
        return object()

    run(app, app.task(odd, name="shop.odd", shared=False))

    result = app.AsyncResult("a")
    assert (result.state, row(alias, "a").status) == (states.FAILURE, states.FAILURE)
    assert "is not JSON serializable" in str(result.result)


def test_a_result_with_nul_characters_is_kept(app):
    def nul():
        return "a\x00b"

    run(app, app.task(nul, name="shop.nul", shared=False))

    assert app.AsyncResult("a").get(timeout=1) == "a\x00b"


def test_a_failure_with_nul_characters_is_kept(app):
    def fail():
        raise ValueError("a\x00b")

    run(app, app.task(fail, name="shop.nul", shared=False))

    assert app.AsyncResult("a").result.args == ("a\x00b",)
    assert "a\ufffdb" in app.AsyncResult("a").traceback


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_every_serializer_of_celery_is_read_back(alias, serializer):
    with results_in(alias):
        app = make_app(result_serializer=serializer, accept_content=[serializer])
        value = {"text": "a\x00b ü 😀", "list": [1, 2.5, None]}

        app.backend.store_result("a", value, states.SUCCESS, request=context("a"))

        result = app.AsyncResult("a")
        assert (result.result, result.args, result.kwargs) == (value, "(1,)", "{'a': 2}")


def test_the_stock_backend_reads_what_ours_stores(app, alias):
    from django_celery_results.backends import DatabaseBackend

    request = context("a")
    request.children.append(AsyncResult("child", app=app))
    app.backend.store_result("a", {"x": 1}, states.SUCCESS, request=request)

    stock = DatabaseBackend(app=app).get_task_meta("a")

    ours = app.backend.get_task_meta("a")
    assert {name: ours[name] for name in stock} == stock
    assert ours["children"] == [[["child", None], None]]


def test_ours_reads_what_the_stock_backend_stores(app, alias):
    from django_celery_results.backends import DatabaseBackend

    DatabaseBackend(app=app).store_result("a", {"x": 1}, states.SUCCESS, request=context("a"), using=alias)

    result = app.AsyncResult("a")
    assert (result.get(timeout=1), result.args, result.name) == ({"x": 1}, "(1,)", "shop.pay")


def test_children_are_results(app):
    request = context("a")
    request.children.append(AsyncResult("child", app=app))

    app.backend.store_result("a", 1, states.SUCCESS, request=request)

    assert app.AsyncResult("a").children == [AsyncResult("child", app=app)]


def test_the_arguments_are_not_stored_without_result_extended(alias):
    with results_in(alias):
        app = make_app(result_extended=False)

        app.backend.store_result("a", 1, states.FAILURE, "Traceback", request=context("a"))

        found = row(alias, "a")
        assert (found.task_name, found.task_args, found.task_kwargs, found.worker) == (None,) * 4
        assert found.traceback == "Traceback"


def test_a_late_start_is_not_seen_after_the_success(app):
    app.backend.store_result("a", 1, states.SUCCESS, request=context("a"))

    app.backend.store_result("a", {"pid": 1}, states.STARTED, request=context("a"))

    assert app.AsyncResult("a").get(timeout=1) == 1


def test_the_record_counts_attempts_and_knows_when_they_started_and_ended(app, alias):
    publish_record(alias, "a", "t", message="{}")

    for state in (states.STARTED, states.RETRY, states.STARTED, states.SUCCESS):
        app.backend.store_result("a", None, state, request=context("a"))

    found = record(alias, "a")
    assert found.attempts == 2
    assert found.published_at is None or found.published_at <= found.started_at <= found.finished_at


def test_an_unknown_task_is_pending(app):
    result = app.AsyncResult("nobody")

    assert (result.state, result.result, result.date_done, result.children) == (
        states.PENDING,
        None,
        None,
        None,
    )


def test_a_task_that_runs_has_no_date_of_its_end(app):
    app.backend.store_result("a", None, states.STARTED)

    assert app.AsyncResult("a").date_done is None


def test_a_task_exists_from_its_publish(app, alias):
    publish_row(alias, mark("a", states.PENDING))

    assert app.backend.task_result_exists("a")
    assert not app.backend.task_result_exists("b")


def test_a_forgotten_result_is_gone(app):
    app.backend.store_result("a", 1, states.SUCCESS)

    app.AsyncResult("a").forget()

    assert not TaskResult.objects.filter(task_id="a").exists()


def test_a_group_is_saved_restored_and_deleted(app):
    group = app.GroupResult("g", [app.AsyncResult("a"), app.AsyncResult("b")])

    group.save()
    group.save()

    assert app.GroupResult.restore("g", backend=app.backend) == group
    assert GroupResult.objects.count() == 1
    group.delete()
    assert app.GroupResult.restore("g", backend=app.backend) is None


def test_a_state_stored_in_the_callers_transaction_goes_with_it(app, alias):
    with transaction.atomic(using=alias):
        app.backend.store_result("a", None, "PROGRESS")
        transaction.set_rollback(True, using=alias)

    assert app.AsyncResult("a").state == states.PENDING


def test_a_failed_write_leaves_the_callers_transaction_usable(app, alias):
    with transaction.atomic(using=alias):
        with pytest.raises(IntegrityError):
            app.backend.store_result("a", 1, None)
        app.backend.store_result("a", 1, states.SUCCESS)

    assert app.AsyncResult("a").state == states.SUCCESS


def test_clean_up_deletes_what_has_expired(app, alias):
    upsert.write(connections[alias], [mark("old", states.SUCCESS, at=timezone.now() - timedelta(days=2))])
    upsert.write(connections[alias], [mark("new", states.SUCCESS)])

    app.backend.cleanup()

    assert list(TaskResult.objects.values_list("task_id", flat=True)) == ["new"]


@pytest.mark.parametrize("expires", [0, None])
def test_clean_up_keeps_everything_without_result_expires(alias, expires):
    with results_in(alias):
        upsert.write(
            connections[alias], [mark("old", states.SUCCESS, at=timezone.now() - timedelta(days=999))]
        )

        make_app(result_expires=expires).backend.cleanup()

        assert TaskResult.objects.count() == 1


def test_the_backend_survives_pickle(app):
    import pickle

    backend = pickle.loads(pickle.dumps(app.backend))  # noqa: S301 - our own bytes

    assert type(backend) is type(app.backend)


def test_waiting_in_a_repeatable_read_of_mysql_warns(databases):
    with emptied_afterwards(databases.get("mariadb")) as alias, results_in(alias):
        app = make_app()
        app.backend.store_result("a", 1, states.SUCCESS)
        with connections[alias].cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

        with transaction.atomic(using=alias), pytest.warns(TxIsolationWarning):
            app.AsyncResult("a").get(timeout=1)
        # Outside of a transaction every poll sees what was committed: no warning, which would be an error.
        app.AsyncResult("a").get(timeout=1)


def test_a_state_with_too_long_a_name_is_refused_in_one_line(app, alias):
    with pytest.raises(ValueError, match="A state has at most 50 characters, not 60"):
        app.backend.store_result("a", None, "P" * 60)
