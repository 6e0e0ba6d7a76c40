"""What follows when a message is given up: result, chord, errbacks and signal, as if a worker had told."""

import pytest
from celery import chord, signals, states
from django.test import override_settings
from kombu import pools

from celeriac.broker import clock
from celeriac.dead_letters import dead_lettered
from celeriac.models import DeadLetter
from celeriac.results import writer
from celeriac.worker import given_up
from tests.broker import wait_past
from tests.results import current, make_app, results_in, row


@pytest.fixture
def app(broker):
    with results_in(broker):
        made = make_app(broker_url=f"django://{broker}")
        with current(made):
            given_up.connect(made, "w@h")
            yield made
            dead_lettered.disconnect(dispatch_uid=given_up._UID)
            # kombu keeps them for the process, by their URL.
            pools.reset()


@pytest.fixture
def give_up(reader):
    """Deliver once more than MAX_DELIVERIES."""

    def doing(queue="celery"):
        claiming = reader()
        with override_settings(CELERIAC={"MAX_DELIVERIES": 1}):
            for message in claiming.claim(queue):
                claiming.requeue(message)
            assert claiming.claim(queue) == []

    return doing


def test_its_errbacks_are_called(app, alias, tasks, errbacks, give_up):
    job, _, on_error = tasks
    result = job.apply_async(link_error=on_error.s())

    give_up()

    assert row(alias, result.id).status == states.FAILURE
    assert [each[:3] for each in errbacks] == [(result.id, "w@h", "WorkerLostError")]


def test_its_chord_fails(app, alias, tasks, give_up):
    job, body, _ = tasks
    result = chord([job.s(), job.s()], body.s()).delay()

    give_up()

    assert row(alias, result.id).status == states.FAILURE


def test_the_writer_of_a_worker_does_it(app, alias, tasks, errbacks, give_up):
    job, _, on_error = tasks
    result = job.apply_async(link_error=on_error.s())
    running = writer.start()
    try:
        give_up()
        assert running.flush(30)
    finally:
        writer.stop()

    assert (row(alias, result.id).status, len(errbacks)) == (states.FAILURE, 1)


def test_a_task_of_protocol_1_calls_its_errbacks_too(app, tasks, errbacks, give_up):
    app.conf.task_protocol = 1
    app.__dict__.pop("amqp", None)
    job, _, on_error = tasks
    result = job.apply_async(link_error=on_error.s())

    give_up()

    assert [each[:3] for each in errbacks] == [(result.id, "w@h", "WorkerLostError")]


def test_nothing_follows_when_the_task_had_ended(app, alias, tasks, errbacks, give_up):
    job, _, on_error = tasks
    result = job.apply_async(link_error=on_error.s())
    app.backend.store_result(result.id, 1, states.SUCCESS)

    give_up()

    assert (row(alias, result.id).status, errbacks) == (states.SUCCESS, [])


def test_a_task_that_ignores_its_result_has_none(app, tasks, errbacks, give_up):
    job, _, on_error = tasks
    result = job.apply_async(link_error=on_error.s(), ignore_result=True)

    give_up()

    assert not app.backend.task_result_exists(result.id)
    assert [called for called, *_ in errbacks] == [result.id]


def test_what_cannot_be_read_is_a_failure_all_the_same(app, alias):
    dead_lettered.send(None, task_id="a", task_name="shop.job", reason="cannot be read", payload="{")

    assert row(alias, "a").status == states.FAILURE


def test_a_task_whose_queue_let_it_expire_is_revoked(app, alias, tasks, reader):
    heard = []

    def hear(request, expired, **_):
        heard.append((request.id, expired))

    job, *_ = tasks
    signals.task_revoked.connect(hear)
    # `expiration` without `expires`: the message's life, as the queue's `x-message-ttl` gives it one.
    result = job.apply_async(expiration=0.001)
    wait_past(clock.now() + clock.seconds(0.002))

    assert reader().claim("celery") == []

    signals.task_revoked.disconnect(hear)
    assert row(alias, result.id).status == states.REVOKED
    assert heard == [(result.id, True)]
    assert DeadLetter.objects.using(alias).get().task_id == result.id
