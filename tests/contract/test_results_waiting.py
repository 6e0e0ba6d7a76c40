"""`get()` of one result and of a group: prompt, with few queries, and never for ever."""

import gc
import threading
import time

import pytest
from celery import states
from celery.exceptions import TimeoutError as NotReadyInTime
from django.db import connections

from celeriac.results import upsert
from tests.results import counted_queries, make_app, mark, results_in


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


class Poll:
    """An `on_interval` that stores results at the polls it is told, in place of a worker."""

    def __init__(self, alias, at):
        self.alias, self.at, self.count = alias, at, 0

    def __call__(self, *_):
        self.count += 1
        for task_id in self.at.get(self.count, ()):
            upsert.write(connections[self.alias], [mark(task_id, states.SUCCESS, result='"done"')])


def group_of(app, *ids):
    return app.GroupResult("g", [app.AsyncResult(task_id) for task_id in ids])


def test_get_returns_what_a_worker_stores_meanwhile(app, alias):
    # Not by AsyncResult.get(): Celery calls its `on_interval` once only.
    meta = app.backend.wait_for("a", timeout=10, on_interval=Poll(alias, {3: ["a"]}))

    assert meta["result"] == "done"


def test_get_gives_up_after_its_timeout(app):
    started = time.monotonic()

    with pytest.raises(NotReadyInTime):
        app.AsyncResult("a").get(timeout=0.1)

    assert 0.1 <= time.monotonic() - started < 2


def test_get_with_timeout_zero_asks_once(app):
    poll = Poll("", {})

    with pytest.raises(NotReadyInTime):
        app.AsyncResult("a").get(timeout=0, on_interval=poll)

    assert poll.count == 1


def test_get_sees_a_result_promptly(app, alias):
    def store():
        upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1")])
        stored.append(time.monotonic())
        connections.close_all()

    stored = []
    timer = threading.Timer(0.2, store)
    timer.start()

    app.AsyncResult("a").get(timeout=10)
    seen = time.monotonic()

    timer.join()
    # Polls are 20 ms apart after 0.2 seconds; Celery's own wait would be up to 500 ms late.
    assert seen - stored[0] < 0.2


def test_an_interval_of_the_user_is_respected(app, alias):
    started = time.monotonic()

    app.backend.wait_for("a", timeout=10, interval=0.15, on_interval=Poll(alias, {2: ["a"]}))

    assert time.monotonic() - started >= 0.3


def test_a_group_is_asked_for_by_one_query_for_many(app, alias):
    ids = store_done(alias, 1000)

    with counted_queries(alias) as statements:
        values = group_of(app, *ids).get(timeout=10)

    assert values == ids
    assert len([sql for sql in statements if "task_id" in sql]) == 2


@pytest.mark.parametrize("way", ["join", "one after the other"])
def test_a_thousand_results_are_not_asked_for_one_by_one(app, alias, way):
    ids = store_done(alias, 1000)
    group = group_of(app, *ids)

    with counted_queries(alias) as statements:
        values = group.join(timeout=10) if way == "join" else [each.get(timeout=10) for each in group.results]

    assert values == ids
    assert len([sql for sql in statements if "task_id" in sql]) <= 10, statements


def test_a_poll_for_one_of_a_thousand_is_one_query(app, alias):
    ids = store_done(alias, 999)
    group = group_of(app, *ids, "last")

    polls = Poll(alias, {1: ["last"]})
    with counted_queries(alias) as statements:
        values = group.join(timeout=10, on_interval=polls)

    assert values == [*ids, "done"]
    # Ten read the row of results; then there were a poll in vain and one that found the last.
    assert len([sql for sql in statements if sql.startswith("SELECT") and "task_id" in sql]) <= 12, statements


def test_who_gets_one_result_of_a_group_reads_no_other(app, alias):
    ids = store_done(alias, 10)
    group = group_of(app, *ids)

    with counted_queries(alias) as statements:
        assert group.results[4].get(timeout=10) == ids[4]

    assert len(statements) == 1
    assert all(each not in app.backend.read_ahead._ended for each in ids)


def test_an_error_that_was_read_ahead_is_raised_by_its_own_result(app, alias):
    ids = store_done(alias, 6)
    app.backend.store_result("failed", ValueError("no stock"), states.FAILURE)
    group = group_of(app, *ids[:4], "failed", ids[5])

    assert [each.get(timeout=10) for each in group.results[:4]] == ids[:4]
    with pytest.raises(ValueError, match="no stock"):
        group.results[4].get(timeout=10)
    assert group.results[5].get(timeout=10) == ids[5]


def test_results_that_nobody_holds_are_forgotten(app, alias):
    ids = store_done(alias, 10)
    group = group_of(app, *ids)
    group.join(timeout=10)
    del group
    gc.collect()

    assert len(app.backend.read_ahead._held) == 0


def test_groups_within_a_group_are_asked_for_together(app, alias):
    ids = store_done(alias, 900)
    innermost = app.GroupResult("innermost", [app.AsyncResult(each) for each in ids[600:]])
    inner = app.GroupResult("inner", [*map(app.AsyncResult, ids[300:600]), innermost])
    whole = app.GroupResult("whole", [*map(app.AsyncResult, ids[:300]), inner])

    with counted_queries(alias) as statements:
        values = whole.get(timeout=10)

    assert values == [*ids[:300], [*ids[300:600], ids[600:]]]
    assert len([sql for sql in statements if "task_id" in sql]) == 2, statements


def test_a_group_within_a_group_is_waited_for_no_longer_than_the_timeout(app, alias):
    inner = group_of(app, "never")

    with pytest.raises(NotReadyInTime):
        app.GroupResult("whole", [app.AsyncResult("a"), inner]).get(timeout=0.05)


def store_done(alias, count):
    """So many tasks that have ended, each with its own id as its value."""
    ids = [f"task-{number:04}" for number in range(count)]
    writes = [mark(task_id, states.SUCCESS, result=f'"{task_id}"') for task_id in ids]
    upsert.write(connections[alias], writes)
    return ids


def test_results_of_a_group_come_as_they_are_ready(app, alias):
    upsert.write(connections[alias], [mark("b", states.SUCCESS, result="1")])
    many = app.backend.get_many(["a", "b"], timeout=10, on_interval=Poll(alias, {2: ["a"]}))

    assert [(task_id, meta["result"]) for task_id, meta in many] == [("b", 1), ("a", "done")]


def test_a_group_waits_for_its_last_task_and_keeps_its_order(app, alias):
    poll = Poll(alias, {1: ["b"], 4: ["a"]})

    assert group_of(app, "a", "b").get(timeout=10, on_interval=poll) == ["done", "done"]


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_group_gives_up_after_its_timeout(app, timeout):
    with pytest.raises(NotReadyInTime):
        group_of(app, "a", "b").get(timeout=timeout)


def test_a_group_raises_the_error_of_its_task(app, alias):
    app.backend.store_result("a", ValueError("no stock"), states.FAILURE)

    with pytest.raises(ValueError, match="no stock"):
        group_of(app, "a", "b").get(timeout=10)


def test_the_number_of_polls_can_be_limited(app):
    assert list(app.backend.get_many(["a"], max_iterations=1)) == []


def test_a_cached_result_is_not_asked_for(alias):
    with results_in(alias):
        app = make_app(result_cache_max=10)
        upsert.write(connections[alias], [mark("a", states.SUCCESS, result="1")])
        group_of(app, "a").get(timeout=10)

        with counted_queries(alias) as statements:
            assert group_of(app, "a").get(timeout=10) == [1]

        assert not statements
