"""What expires, what stays, and that no step is larger than it may be."""

from datetime import timedelta

import pytest
from celery import states
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from celeriac.models import Attempt, Chord, ChordPart, Outcome, Revocation, TaskRecord
from celeriac.results import attempts, records, retention, upsert
from tests.results import counted_queries, mark, results_in

DAY = timedelta(days=1)
AGES = {"a day": 0.9, "a week": 7, "a month": 30}


@pytest.fixture(autouse=True)
def _results(alias):
    with results_in(alias):
        yield


def days_ago(days):
    return timezone.now() - timedelta(days=days)


def ids(model):
    return sorted(model.objects.values_list("task_id", flat=True))


def test_results_that_ended_long_ago_go_and_others_stay(alias):
    writes = [
        mark("ended", states.SUCCESS, at=days_ago(2)),
        mark("failed", states.FAILURE, at=days_ago(2)),
        mark("fresh", states.SUCCESS),
        mark("waiting", states.PENDING, at=days_ago(9)),
        mark("running", states.STARTED, at=days_ago(9)),
        mark("given up", states.PENDING, at=days_ago(11)),
    ]
    upsert.write(connections[alias], writes)

    assert retention.expire(alias, DAY) == 3

    assert ids(TaskResult) == ["fresh", "running", "waiting"]


def test_a_task_that_is_due_in_the_future_stays(alias):
    upsert.write(connections[alias], [mark("later", states.PENDING, at=days_ago(99))])
    known = {"task_name": "t", "published_at": days_ago(99)}
    TaskRecord.objects.create(task_id="later", eta=days_ago(-1), **known)
    TaskRecord.objects.create(task_id="due", eta=days_ago(50), **known)

    retention.expire(alias, DAY)

    assert (ids(TaskResult), ids(TaskRecord)) == (["later"], ["later"])


def test_records_go_like_their_results(alias):
    TaskRecord.objects.bulk_create(
        TaskRecord(task_id=name, task_name="t", published_at=published, finished_at=finished)
        for name, published, finished in [
            ("ended", days_ago(3), days_ago(2)),
            ("ended just now", days_ago(3), timezone.now()),
            ("never ended", days_ago(3), None),
            ("given up", days_ago(11), None),
        ]
    )

    retention.expire(alias, DAY)

    assert ids(TaskRecord) == ["ended just now", "never ended"]


def test_what_replaces_a_task_and_waits_keeps_its_record_and_its_revocation(alias):
    """The run that was replaced has ended, the task has not."""
    states_of = {"replaced": states.STARTED, "ended": states.FAILURE}
    upsert.write(connections[alias], [mark(each, state, at=days_ago(3)) for each, state in states_of.items()])
    for each in states_of:
        TaskRecord.objects.create(
            task_id=each, task_name="t", published_at=days_ago(3), finished_at=days_ago(0.5)
        )
        Revocation.objects.create(value=each)
    Revocation.objects.update(revoked_at=days_ago(2))

    retention.expire(alias, DAY)
    assert [each.value for each in Revocation.objects.all()] == ["replaced"]

    TaskRecord.objects.update(finished_at=days_ago(2))
    retention.expire(alias, DAY)
    assert ids(TaskRecord) == ["replaced"]

    TaskRecord.objects.update(published_at=days_ago(11), finished_at=days_ago(11))
    retention.expire(alias, DAY)
    assert ids(TaskRecord) == []


def test_a_record_that_only_a_worker_made_goes_too(alias):
    records.add_runs(connections[alias], [records.Run("a", "t", 1, days_ago(11))])

    retention.expire(alias, DAY)

    assert ids(TaskRecord) == []


def test_groups_go(alias):
    GroupResult.objects.bulk_create([GroupResult(group_id="old"), GroupResult(group_id="new")])
    GroupResult.objects.filter(group_id="old").update(date_done=days_ago(2))

    retention.expire(alias, DAY)

    assert list(GroupResult.objects.values_list("group_id", flat=True)) == ["new"]


def test_chords_go_with_their_parts(alias):
    for name, sent, age in [("sent", True, 2), ("new", True, 0), ("open", False, 2), ("given up", False, 11)]:
        Chord.objects.create(group_id=name, size=3, header="[]", is_sent=sent)
        Chord.objects.filter(group_id=name).update(created_at=days_ago(age))
        ChordPart.objects.bulk_create(ChordPart(group_id=name, task_id=str(number)) for number in range(3))

    assert retention.expire(alias, DAY, step=2) == 8

    for model in (Chord, ChordPart):
        assert sorted(set(model.objects.values_list("group_id", flat=True))) == ["new", "open"]


def test_parts_of_a_chord_that_was_never_committed_go_with_their_results(alias):
    upsert.write(
        connections[alias], [mark("fresh", states.SUCCESS), mark("old", states.SUCCESS, at=days_ago(2))]
    )
    for task_id in ("fresh", "old"):
        ChordPart.objects.create(group_id="g", task_id=task_id)

    retention.expire(alias, DAY)

    assert ids(ChordPart) == ["fresh"]


def test_rows_go_in_steps_of_their_own_transaction(alias):
    writes = [mark(f"task-{number}", states.SUCCESS, at=days_ago(2)) for number in range(25)]
    upsert.write(connections[alias], writes)

    with counted_queries(alias) as statements:
        assert retention.expire(alias, DAY, step=10) == 25

    assert len([sql for sql in statements if sql.startswith("DELETE")]) == 3
    assert not TaskResult.objects.exists()


@pytest.mark.parametrize("has_results", [True, False])
def test_attempts_go_with_their_task_in_steps(alias, has_results):
    """With results elsewhere as well: the record is what is left of the task there."""
    old = [attempts.Ended(each, "t", Outcome.RETRY, ended_at=days_ago(20)) for each in ("a", "b", "c", "d")]
    attempts.write(connections[alias], [*old, attempts.Ended("fresh", "t", Outcome.RETRY)])
    TaskRecord.objects.create(task_id="c", task_name="t", published_at=days_ago(20), eta=days_ago(-1))
    upsert.write(connections[alias], [mark("d", states.RETRY)])

    if has_results:
        retention.expire(alias, DAY, step=1)
    else:
        for rows in retention.expired(alias, DAY, has_results=False):
            list(retention.delete_in_steps(alias, rows, step=1))

    assert ids(Attempt) == ["c", "d", "fresh"]


def test_attempts_are_kept_for_longer_than_results_where_that_is_wished(alias):
    old = [attempts.Ended(name, "t", Outcome.FAILURE, ended_at=days_ago(days)) for name, days in AGES.items()]
    attempts.write(connections[alias], old)

    with override_settings(CELERIAC={"ATTEMPT_DAYS": 14}):
        retention.expire(alias, DAY)

    assert ids(Attempt) == ["a day", "a week"]
    with override_settings(CELERIAC={"ATTEMPT_DAYS": 1e300}):
        retention.expire(alias, DAY)
    assert ids(Attempt) == ["a day", "a week"]
    retention.expire(alias, DAY)
    assert ids(Attempt) == ["a day"]
