"""The guarded upsert: which state may follow which, and what a write that knows less leaves alone."""

from datetime import timedelta

import pytest
from celery import states
from django.db import connections
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.results import records, tables, upsert
from tests.results import counted_queries, mark, publish_record, publish_row, record, row


@pytest.mark.parametrize(
    ("stored", "written", "kept"),
    [
        (states.PENDING, states.RECEIVED, states.RECEIVED),
        (states.RECEIVED, states.PENDING, states.RECEIVED),
        (states.STARTED, states.RECEIVED, states.STARTED),
        (states.RETRY, states.RECEIVED, states.RETRY),
        (states.RETRY, states.STARTED, states.STARTED),
        (states.STARTED, states.RETRY, states.RETRY),
        (states.STARTED, "PROGRESS", "PROGRESS"),
        ("PROGRESS", states.RECEIVED, "PROGRESS"),
        (states.FAILURE, states.STARTED, states.FAILURE),
        (states.FAILURE, states.RETRY, states.FAILURE),
        (states.REVOKED, states.FAILURE, states.FAILURE),
        (states.FAILURE, states.SUCCESS, states.SUCCESS),
        (states.SUCCESS, states.PENDING, states.SUCCESS),
        (states.SUCCESS, states.STARTED, states.SUCCESS),
        (states.SUCCESS, states.FAILURE, states.SUCCESS),
        (states.SUCCESS, states.REVOKED, states.SUCCESS),
    ],
)
def test_a_state_never_goes_backwards(alias, stored, written, kept):
    upsert.write(connections[alias], [mark("a", stored, result='"first"')])

    upsert.write(connections[alias], [mark("a", written, result='"second"', traceback="tb")])

    found = row(alias, "a")
    assert found.status == kept
    assert found.result == ('"first"' if kept == stored else '"second"')
    assert found.traceback == (None if kept == stored else "tb")


def test_the_first_success_is_kept(alias):
    upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1")])

    upsert.write(connections[alias], [mark("a", states.SUCCESS, result="2")])

    assert row(alias, "a").result == "1"


def test_a_refused_write_changes_no_column(alias):
    upsert.write(
        connections[alias], [mark("a", states.SUCCESS, result="1", task_name="shop.pay", worker="w1")]
    )
    before = TaskResult.objects.using(alias).values().get(task_id="a")

    late = mark("a", states.STARTED, result="2", task_name="other", worker="w2", meta="{}", task_args="()")
    upsert.write(connections[alias], [late])

    assert TaskResult.objects.using(alias).values().get(task_id="a") == before


def test_a_write_that_knows_less_keeps_what_is_known(alias):
    known = {"task_name": "shop.pay", "task_args": '"(1,)"', "task_kwargs": '"{}"', "worker": "w@h"}
    upsert.write(connections[alias], [mark("a", states.STARTED, **known)])

    upsert.write(connections[alias], [mark("a", states.FAILURE, result="{}")])

    found = row(alias, "a")
    assert {name: getattr(found, name) for name in known} == known


def test_the_traceback_of_a_retry_does_not_stay_with_the_success(alias):
    upsert.write(connections[alias], [mark("a", states.RETRY, traceback="Traceback", result="{}")])

    upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1")])

    assert row(alias, "a").traceback is None


def test_dates_tell_when_the_task_was_created_started_and_last_written(alias):
    published = timezone.now().replace(microsecond=1000) - timedelta(hours=1)
    started, ended = published + timedelta(minutes=1), published + timedelta(minutes=2)

    publish_row(alias, mark("a", states.PENDING, at=published))
    upsert.write(connections[alias], [mark("a", states.STARTED, at=started)])
    upsert.write(connections[alias], [mark("a", states.SUCCESS, at=ended)])

    found = row(alias, "a")
    assert (found.date_created, found.date_started, found.date_done) == (published, started, ended)


def test_a_batch_holds_the_states_of_one_task_in_order(alias):
    order = [states.RECEIVED, states.STARTED, states.RETRY, states.STARTED, states.SUCCESS]
    writes = [mark(task, state, result=f'"{state}"') for state in order for task in "ba"]

    upsert.write(connections[alias], writes)

    assert [row(alias, task).status for task in "ab"] == [states.SUCCESS] * 2


def test_a_batch_keeps_a_success_that_is_not_its_last_state(alias):
    upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1"), mark("a", states.STARTED)])

    assert (row(alias, "a").status, row(alias, "a").result) == (states.SUCCESS, "1")


def test_many_tasks_are_one_statement(alias):
    writes = [mark(f"task-{number}", states.RECEIVED) for number in range(50)]
    connections[alias].ensure_connection()

    with counted_queries(alias) as statements:
        upsert.write(connections[alias], writes)

    assert len(statements) == 1
    assert TaskResult.objects.using(alias).count() == 50


def test_more_tasks_than_a_statement_takes_are_all_stored(alias):
    writes = [mark(f"task-{number}", states.RECEIVED) for number in range(2 * tables.MOST_ROWS + 1)]

    upsert.write(connections[alias], writes)

    assert TaskResult.objects.using(alias).count() == 2 * tables.MOST_ROWS + 1


def test_text_that_no_database_takes_is_stored_visibly(alias):
    awkward = mark("a", states.FAILURE, traceback="a\x00b\udcffc😀", worker="w" * 150, task_name="n" * 300)

    upsert.write(connections[alias], [awkward])

    found = row(alias, "a")
    assert found.traceback == "a\ufffdb?c😀"
    assert (len(found.worker), len(found.task_name)) == (100, 255)


def test_a_published_task_does_not_touch_a_row_that_is_there(alias):
    upsert.write(connections[alias], [mark("a", states.STARTED, task_name="shop.pay")])
    before = TaskResult.objects.using(alias).values().get(task_id="a")

    publish_row(alias, mark("a", states.PENDING, task_name="other"))

    assert TaskResult.objects.using(alias).values().get(task_id="a") == before


def test_each_started_run_is_counted(alias):
    publish_record(alias, "a", "shop.pay", message="{}")
    last = timezone.now().replace(microsecond=0)

    records.add_runs(connections[alias], [records.Run("a", "shop.pay", 1, last - timedelta(minutes=1))])
    records.add_runs(connections[alias], [records.Run("a", "shop.pay", 1, last)])

    found = record(alias, "a")
    assert (found.attempts, found.started_at, found.message) == (2, last, "{}")


def test_a_record_that_a_worker_made_is_filled_by_its_publisher(alias):
    records.add_runs(connections[alias], [records.Run("a", "shop.pay", 1, timezone.now())])

    known = {"queue": "mail", "priority": 3, "root_id": "r", "message": "{}"}
    publish_record(alias, "a", "shop.pay", **known)

    found = record(alias, "a")
    assert {name: getattr(found, name) for name in known} == known
    assert (found.attempts, found.started_at is None) == (1, False)


def test_a_second_publish_keeps_the_first_message(alias):
    publish_record(alias, "a", "t", message="1", queue="q1")

    publish_record(alias, "a", "t", message="2", queue="q2")

    found = record(alias, "a")
    assert (found.message, found.queue) == ("1", "q1")
