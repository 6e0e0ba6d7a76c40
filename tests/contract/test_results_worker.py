"""Results where a real worker stores them: from RECEIVED to the end, and from its main process."""

import pytest
from celery import chord, states
from celery.exceptions import WorkerLostError
from celery.worker.request import Request
from django.db import connections
from django_celery_results.models import TaskResult

from celeriac.results import received, writer
from tests.results import context, embedded_worker, make_app, record, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app(broker_transport_options={"polling_interval": 0.01})


@pytest.fixture
def main_process(app):
    """What the bootstep of a worker's main process does."""
    received.connect()
    running = writer.start()
    yield running
    writer.stop()
    received.disconnect()


def test_a_state_of_the_main_process_is_stored_by_the_writer(app, alias, main_process, monkeypatch):
    threads = []
    monkeypatch.setattr("celeriac.results.upsert.write", _noting_thread(threads))

    app.backend.mark_as_failure("a", WorkerLostError("gone"), request=context("a"))

    assert main_process.flush(30)
    assert row(alias, "a").status == states.FAILURE
    assert threads == ["celeriac-results"]


def test_a_state_of_a_task_that_runs_here_is_stored_before_its_ack(app, alias, main_process, monkeypatch):
    threads = []
    monkeypatch.setattr("celeriac.results.upsert.write", _noting_thread(threads))

    def job():
        return 1

    from celery.app.trace import build_tracer

    task = app.task(job, name="shop.job", shared=False)
    request = {"id": "a", "task": "shop.job", "is_eager": False, "delivery_info": {}, "hostname": "w@h"}
    build_tracer(task.name, task, app=app)("a", (), {}, request)

    assert row(alias, "a").status == states.SUCCESS
    assert threads == ["MainThread", "MainThread"]


def test_a_failed_header_task_of_the_main_process_fails_its_chord(app, alias, main_process):
    def job():
        return 1

    def body(values):
        return values

    task, total = (app.task(each, name=f"shop.{each.__name__}", shared=False) for each in (job, body))
    app.amqp.send_task_message = lambda *_, **__: None
    result = chord([task.s()], total.s()).delay()
    header = result.parent.results[0]
    request = context(header.id, group=result.parent.id, chord=dict(total.s().set(task_id=result.id)))

    app.backend.mark_as_failure(header.id, WorkerLostError("gone"), request=request)

    assert main_process.flush(30)
    assert row(alias, result.id).status == states.FAILURE


def test_a_received_task_is_marked_with_name_arguments_and_worker(app, alias, main_process):
    def job():
        return 1

    app.task(job, name="shop.job", shared=False)
    app.finalize()

    started = _request(app, "started")
    started.time_start = 1.0
    received.mark([_request(app, "a"), started])

    assert main_process.flush(30)
    found = app.AsyncResult("a")
    assert (found.state, found.name, found.worker) == (states.RECEIVED, "shop.job", "w@h")
    assert (found.args, found.kwargs) == ("(1,)", "{}")
    assert not TaskResult.objects.filter(task_id="started").exists()


def test_only_tasks_with_a_row_are_marked(app, main_process):
    def job():
        return 1

    app.task(job, name="shop.job", shared=False)
    app.finalize()
    marks = received.Marks()

    marks.end()
    for request in (_request(app, "a"), _request(app, "ignored", ignore_result=True)):
        received._on_received(marks, request=request)

    assert [request.id for _, request in marks._requests] == ["a"]


def _request(app, task_id, **headers):
    known = {"id": task_id, "task": "shop.job", "argsrepr": "(1,)", "kwargsrepr": "{}", **headers}

    class Message:
        body, content_type, content_encoding = b"[[1], {}, {}]", "application/json", "utf-8"
        payload = ([1], {}, {})
        delivery_info: dict = {}
        properties: dict = {}

    message = Message()
    message.headers = known
    return Request(message, app=app, task=app.tasks["shop.job"], hostname="w@h", headers=known, decoded=False)


def _noting_thread(threads):
    import threading

    from celeriac.results import upsert

    write = upsert.write

    def noting(connection, writes):
        threads.append(threading.current_thread().name)
        write(connection, writes)

    return noting


def test_a_worker_takes_a_task_from_its_publish_to_its_result(app, alias):
    def double(number):
        return 2 * number

    task = app.task(double, name="shop.double", shared=False)
    with embedded_worker(app):
        assert task.delay(21).get(timeout=30, disable_sync_subtasks=False) == 42
        result = task.delay(1)
        result.get(timeout=30)

    assert record(alias, result.id).attempts == 1
    assert record(alias, result.id).finished_at is not None
    connections[alias].close()
