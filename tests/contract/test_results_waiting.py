"""`get()` of one result and of a group: prompt, with few queries, and never for ever."""

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
    ids = [f"task-{number:04}" for number in range(1000)]
    writes = [mark(task_id, states.SUCCESS, result=f'"{task_id}"') for task_id in ids]
    upsert.write(connections[alias], writes)

    with counted_queries(alias) as statements:
        values = group_of(app, *ids).get(timeout=10)

    assert values == ids
    assert len([sql for sql in statements if "task_id" in sql]) == 2


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
