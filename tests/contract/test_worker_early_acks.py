"""What a dead worker had acknowledged and ran ends, once; what runs again or had ended does not."""

import logging
import socket
import sqlite3
from contextlib import contextmanager

import pytest
from celery import chord, states
from celery.exceptions import Ignore
from django.db import OperationalError, connections
from django.utils import timezone

from celeriac import control
from celeriac.broker import reaper as reaping
from celeriac.broker.errors import BrokerBusy, BrokerRefused
from celeriac.broker.locks import SessionLock
from celeriac.broker.queries import workers
from celeriac.broker.reaper import Reaper
from celeriac.broker.session import BrokerSession
from celeriac.models import Attempt, Message, Outcome, TaskRecord
from celeriac.results import left_running, records, upsert
from celeriac.results.notes import Note
from celeriac.worker import early_acks, finished, recovery
from tests.broker import Stranger, in_thread, in_threads, noted, unreachable
from tests.contract.test_attempts import run
from tests.contract.test_worker_recovery import gone, left_by  # noqa: F401
from tests.results import mark, publishing_app, row


@pytest.fixture
def app(broker, monkeypatch):
    with publishing_app(broker) as made:
        monkeypatch.setattr(control, "get_app", lambda: made)
        monkeypatch.setitem(reaping.closing, "test", lambda *found: early_acks.end_lost(made, broker, *found))
        yield made


@pytest.fixture
def tasks(tasks):
    tasks[0].acks_late = False
    return tasks


@pytest.fixture
def find_dead(broker):
    """Finds a worker dead, as one of the others does."""

    def finding(worker):
        session = BrokerSession(broker)
        try:
            found = session.run(lambda connection, _: workers.peers(connection, 0))
            reaper = Reaper(session, SessionLock(session), socket.gethostname())
            return [reaper.lose(peer) for peer in found if peer.id == worker]
        finally:
            session.close()

    return finding


def begin(alias, task_id, node="stranger@elsewhere", status=states.STARTED):
    """Store that a worker runs the task."""
    connection = connections[alias]
    upsert.write(connection, [mark(task_id, status, task_name="shop.job", worker=node)])
    records.add_runs(connection, [records.Run(task_id, "shop.job", starts=1, started_at=timezone.now())])


def acknowledge(worker, *claimed):
    pairs = [(each.id, each.token) for each in claimed]
    worker.session.run(lambda connection, queries: queries.ack(connection, pairs))


def begun(alias, worker, result):
    """The worker runs what it has claimed, and has acknowledged that."""
    begin(alias, result.id)
    acknowledge(worker, *worker.claim("celery"))


def kept(alias, task_id):
    return list(Attempt.objects.using(alias).filter(task_id=task_id).order_by("number"))


def test_it_ends_with_an_attempt_and_its_errbacks_and_can_be_sent_again(
    app, broker, tasks, stranger, find_dead, errbacks
):
    job, _, on_error = tasks
    worker, result = stranger(), job.apply_async(link_error=on_error.s())
    begun(broker, worker, result)

    find_dead(worker.worker)

    ended = row(broker, result.id)
    text = "Worker exited prematurely: stranger@elsewhere was lost while it ran the task."
    assert (ended.status, ended.worker, text in ended.result) == (states.FAILURE, "stranger@elsewhere", True)
    (attempt,) = kept(broker, result.id)
    assert (attempt.outcome, attempt.message, attempt.task_name) == (Outcome.LOST, text, "shop.job")
    assert attempt.started_at is not None
    assert errbacks == [(result.id, "stranger@elsewhere", "WorkerLostError", text)]

    control.retry(result.id)

    assert row(broker, result.id).status == states.PENDING
    assert Message.objects.using(broker).filter(task_id=result.id).count() == 1


def test_its_chord_fails(app, broker, tasks, stranger, find_dead):
    job, body, _ = tasks
    worker, result = stranger(), chord([job.s(), job.s()], body.s()).delay()
    for each in result.parent.results:
        begin(broker, each.id)
    acknowledge(worker, *worker.claim("celery"))

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.FAILURE


def test_a_state_of_its_own_is_no_end(app, broker, tasks, stranger, find_dead):
    worker, result = stranger(), tasks[0].delay()
    begun(broker, worker, result)
    begin(broker, result.id, status="PROGRESS")

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.FAILURE


def test_what_is_to_run_again_does_not_end(app, broker, tasks, stranger, find_dead):
    """Held by the dead worker; given back by it; and sent again by `self.retry`, which another one has."""
    held, back, sent = (tasks[0].delay() for _ in range(3))
    worker, other = stranger(), stranger()
    claimed = {each.task_id: each for each in worker.claim("celery")}
    for each in (held, back, sent):
        begin(broker, each.id)
    worker.session.run(
        lambda its, queries: queries.requeue(its, [(claimed[back.id].id, claimed[back.id].token)])
    )
    acknowledge(worker, claimed[sent.id])
    tasks[0].apply_async(task_id=sent.id)
    assert {each.task_id for each in other.claim("celery")} == {back.id, sent.id}

    assert find_dead(worker.worker) == [1]

    assert {row(broker, each.id).status for each in (held, back, sent)} == {states.STARTED}
    assert not Attempt.objects.using(broker).exists()


def test_what_ended_and_what_others_run_stays(app, broker, tasks, stranger, find_dead):
    ended, others = tasks[0].delay(), tasks[0].delay()
    worker = stranger()
    begin(broker, ended.id)
    upsert.write(connections[broker], [mark(ended.id, states.SUCCESS, result="1")])
    begin(broker, others.id, node="living@elsewhere")
    acknowledge(worker, *worker.claim("celery"))

    find_dead(worker.worker)

    assert row(broker, ended.id).status == states.SUCCESS
    assert row(broker, others.id).status == states.STARTED


def test_what_its_earlier_life_left_is_not_told_of_this_one(app, broker, tasks, stranger, find_dead):
    result = tasks[0].delay()
    begin(broker, result.id)
    worker = stranger()
    acknowledge(worker, *worker.claim("celery"))

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.STARTED


def test_a_task_that_ended_by_ignore_has_ended(app, broker, stranger, find_dead):
    def silent():
        raise Ignore

    worker = stranger()
    finished.connect()
    run(app, app.task(silent, name="shop.silent", shared=False), hostname="stranger@elsewhere")
    assert row(broker, "a").status == states.STARTED

    find_dead(worker.worker)

    assert row(broker, "a").status == states.STARTED
    assert kept(broker, "a") == []


def test_what_the_journal_says_is_stored_first(app, broker, tasks, find_dead, gone, monkeypatch):  # noqa: F811
    result = tasks[0].delay()
    worker = Stranger(broker, "stranger@elsewhere", socket.gethostname())
    begun(broker, worker, result)
    success = mark(result.id, states.SUCCESS, result="3", worker="stranger@elsewhere")
    left_by(gone, Note.of(success, "shop.job"))
    monkeypatch.setitem(reaping.before_losing, "test", lambda: recovery.recover(broker))

    find_dead(worker.worker)

    worker.close()
    assert row(broker, result.id).status == states.SUCCESS
    assert kept(broker, result.id) == []


def test_of_two_that_find_the_death_one_ends_it(app, broker, tasks, stranger, find_dead, errbacks):
    job, _, on_error = tasks
    worker, result = stranger(), job.apply_async(link_error=on_error.s())
    begun(broker, worker, result)

    in_threads([lambda: find_dead(worker.worker)] * 2)

    assert row(broker, result.id).status == states.FAILURE
    assert (len(kept(broker, result.id)), len(errbacks)) == (1, 1)


def test_a_worker_that_was_only_held_for_lost_has_the_last_word(app, broker, tasks, stranger, find_dead):
    worker, result = stranger(), tasks[0].delay()
    begun(broker, worker, result)
    find_dead(worker.worker)

    late = mark(result.id, states.SUCCESS, result="1", worker="stranger@elsewhere")
    upsert.write(connections[broker], [late])

    assert row(broker, result.id).status == states.SUCCESS
    assert len(kept(broker, result.id)) == 1


def test_on_another_broker_the_type_of_the_task_decides(app, broker, tasks, stranger, find_dead, monkeypatch):
    job, body, _ = tasks
    early, late = job.delay(), body.delay([])
    worker = stranger()
    for each, name in ((early, "shop.job"), (late, "shop.body")):
        state = mark(each.id, states.STARTED, task_name=name, worker="stranger@elsewhere")
        upsert.write(connections[broker], [state])
    monkeypatch.setitem(reaping.closing, "test", lambda *found: early_acks.end_lost(app, None, *found))
    body.acks_late = True

    find_dead(worker.worker)

    assert (row(broker, early.id).status, row(broker, late.id).status) == (states.FAILURE, states.STARTED)


def test_the_messages_do_not_wait_for_what_the_table_refuses(
    app, broker, tasks, stranger, find_dead, monkeypatch, caplog
):
    def refused(connection, _):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM celeriac_message")

    worker = stranger()
    tasks[0].delay()
    worker.claim("celery")
    monkeypatch.setitem(reaping.closing, "test", refused)

    with caplog.at_level(logging.ERROR, logger="celeriac"):
        assert find_dead(worker.worker) == [1]

    assert "nobody runs again is not ended" in caplog.text


def test_what_is_wrong_in_a_record_holds_up_no_message(
    app, broker, tasks, stranger, find_dead, monkeypatch, caplog
):
    worker, result = stranger(), tasks[0].delay()
    tasks[1].delay([])
    claimed = {each.task_id: each for each in worker.claim("celery")}
    begin(broker, result.id)
    acknowledge(worker, claimed[result.id])
    TaskRecord.objects.using(broker).filter(task_id=result.id).update(
        message='{"body": [], "headers": null, "properties": {}, "route": {}}'
    )

    with caplog.at_level(logging.ERROR, logger="celeriac"):
        assert find_dead(worker.worker) == [1]

    assert "nobody runs again is not ended" in caplog.text


def test_a_busy_database_is_tried_again_before_it_is_left(
    app, broker, tasks, stranger, find_dead, monkeypatch
):
    """Marked lost without it, the worker would leave STARTED for ever."""
    busy, close = [True], reaping.closing["test"]

    def closing(connection, peer):
        if busy:
            locked = sqlite3.OperationalError("database is locked")
            locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise OperationalError("database is locked") from locked
        return close(connection, peer)

    worker, result = stranger(), tasks[0].delay()
    begun(broker, worker, result)
    monkeypatch.setattr("celeriac.broker.session.PATIENCE_SECONDS", 0.1)
    monkeypatch.setitem(reaping.closing, "test", closing)
    with pytest.raises(BrokerBusy):
        find_dead(worker.worker)
    busy.clear()

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.FAILURE


def test_results_elsewhere_are_tried_again_before_they_are_left(
    app, broker, tasks, stranger, find_dead, monkeypatch
):
    worker, result = stranger(), tasks[0].delay()
    begun(broker, worker, result)
    with monkeypatch.context() as patched, unreachable(broker) as away:
        patched.setattr(early_acks, "results_alias", lambda: away)
        with pytest.raises(BrokerRefused):
            find_dead(worker.worker)

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.FAILURE


@contextmanager
def being_written(alias, *task_ids):
    """A transaction that has written these states is not over, as that of a task on a host that is gone."""
    connection = connections.create_connection(alias)
    connection.set_autocommit(False)
    try:
        with connection.cursor() as cursor:
            for task_id in task_ids:
                cursor.execute(
                    "UPDATE django_celery_results_taskresult SET status = 'PROGRESS' WHERE task_id = %s",
                    [task_id],
                )
        yield
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.parametrize("node", ["stranger@elsewhere", "living@elsewhere"])
def test_a_state_that_is_being_written_holds_up_no_message(app, broker, tasks, stranger, find_dead, node):
    if connections[broker].vendor == "sqlite":
        pytest.skip("SQLite has one writer.")
    worker = stranger()
    early, other, late = tasks[0].delay(), tasks[0].delay(), tasks[1].delay([])
    claimed = {each.task_id: each for each in worker.claim("celery")}
    begin(broker, early.id)
    begin(broker, other.id, node=node)
    begin(broker, late.id)
    acknowledge(worker, claimed[early.id], claimed[other.id])

    with being_written(broker, other.id, late.id):
        assert in_thread(lambda: find_dead(worker.worker)) == [1]

    assert row(broker, early.id).status == states.FAILURE
    assert row(broker, other.id).status == states.STARTED


def test_a_letter_of_the_name_is_a_letter(app, broker, tasks, stranger, find_dead):
    worker, result = stranger(), tasks[0].delay()
    begin(broker, result.id, node="Stranger@elsewhere")
    acknowledge(worker, *worker.claim("celery"))

    find_dead(worker.worker)

    assert row(broker, result.id).status == states.STARTED


@pytest.mark.usefixtures("alias")
def test_it_is_found_by_the_index_of_the_states(alias):
    connection = connections[alias]
    writes = [mark(f"t{number}", states.SUCCESS, worker="w@h") for number in range(3000)]
    upsert.write(connection, [*writes, mark("running", states.STARTED, worker="w@h")])
    with connection.cursor() as cursor:
        analyze = "ANALYZE TABLE django_celery_results_taskresult"
        cursor.execute(analyze if connection.vendor == "mysql" else "ANALYZE")
    began = timezone.now() - timezone.timedelta(hours=1)

    with noted(connection) as statements:
        found = left_running.find(connection, "w@h", began)

    assert [each.task_id for each in found] == ["running"]
    prefix = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    plans = []
    with connection.cursor() as cursor:
        for sql, params in statements:
            if "taskresult" in sql:
                cursor.execute(f"{prefix} {sql}", params)
                plans.append(str(cursor.fetchall()))
    assert len(plans) == 4
    # MariaDB has asked the index for a MIN before it says so.
    quick = ("django_cele_status_9b6201_idx", "optimized away", "No matching min/max row")
    slow = [each for each in plans if not any(words in each for words in quick)]
    assert not slow, slow
