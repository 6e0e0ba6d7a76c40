"""A worker's own connections for results: kept open, few however many threads store, closed at the end."""

import threading
from contextlib import nullcontext

import pytest
from celery import states
from django.db import DataError, connections, transaction

from celeriac.database.session import Session
from celeriac.results import storing, upsert
from tests.broker import in_thread, in_threads
from tests.results import context, make_app, results_in


@pytest.fixture
def opened(monkeypatch):
    """The sessions that were made; `together` lets them be made all at once."""

    class Made(list):
        together = None

    made = Made()

    def noting(alias):
        if made.together:
            made.together.wait(30)
        session = Session(alias)
        made.append(session)
        return session

    monkeypatch.setattr(storing, "Session", noting)
    return made


@pytest.fixture
def worker(alias, opened):
    with results_in(alias):
        storing.this_is_a_worker()
        yield alias
        storing.end()


def are_open(sessions):
    return sum(1 for session in sessions if session._connection is not None)


def test_threads_that_come_and_go_share_one_connection(worker, opened):
    used = []

    for _ in range(20):
        in_thread(lambda: storing.store(worker, used.append))

    assert (len(used), len(set(map(id, used))), are_open(opened)) == (20, 1, 1)


def test_those_who_store_at_once_have_one_each_and_few_stay_open(worker, opened):
    crowd = storing.MOST_IDLE + 3
    opened.together = threading.Barrier(crowd)

    in_threads([lambda: storing.store(worker, lambda _: None)] * crowd)

    assert len(opened) == crowd
    assert are_open(opened) == storing.MOST_IDLE


def test_the_end_of_the_worker_closes_them(worker, opened):
    def end_meanwhile(_):
        storing.end()

    storing.store(worker, end_meanwhile)
    assert are_open(opened) == 0

    storing.this_is_a_worker()
    storing.store(worker, lambda _: None)
    assert are_open(opened) == 1

    storing.end()
    storing.end()
    assert are_open(opened) == 0


def test_inside_the_callers_transaction_its_own_connection_is_used(worker, opened):
    used = []

    with transaction.atomic(using=worker):
        storing.store(worker, used.append)

    assert (used, opened) == ([connections[worker]], [])


@pytest.mark.parametrize(("status", "raises"), [(states.STARTED, False), (states.SUCCESS, True)])
def test_a_started_that_cannot_be_stored_is_told_and_fails_no_task(
    worker, monkeypatch, caplog, status, raises
):
    def refuse(*_):
        raise DataError("on purpose")

    monkeypatch.setattr(upsert, "write", refuse)

    with pytest.raises(DataError) if raises else nullcontext():
        make_app().backend.store_result("a", None, status, request=context("a"))

    assert ("could not be stored: on purpose" in caplog.text) is not raises
