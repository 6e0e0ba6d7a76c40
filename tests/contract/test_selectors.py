"""Queues and workers as commands, metrics and pages see them: right, and by few indexed statements."""

import pytest
from django.db import connections

from celeriac import control
from celeriac.broker import clock, depths
from celeriac.broker.queries import figures, workers
from celeriac.models import DeadLetter, Message, MessageState, PausedQueue, Worker
from celeriac.results import upsert
from celeriac.selectors import queues as of_queues
from celeriac.selectors import workers as of_workers
from celeriac.selectors.queues import QueueState
from tests.broker import noted, publish
from tests.contract.test_store_backlog import explained, fill, is_slow
from tests.results import make_app, mark, publishing_app, results_in

ANALYZE = {
    "sqlite": "ANALYZE",
    "postgresql": "VACUUM ANALYZE celeriac_message",
    "mysql": "ANALYZE TABLE celeriac_message",
}
MINUTE = clock.seconds(60)


@pytest.fixture
def app(broker):
    with publishing_app(broker) as made:
        yield made


def found(app):
    return {state.name: state for state in of_queues.queues(app)}


def put(alias, queue, age, state=MessageState.READY, **known):
    at = clock.now() - age
    return Message.objects.using(alias).create(
        queue=queue, state=state, available_at=at, published_at=at, payload="{}", **known
    )


def test_a_queue_is_counted_by_what_becomes_of_its_messages(broker, app, stranger):
    put(broker, "mails", 0)
    put(broker, "mails", 3 * MINUTE, turn=2)
    put(broker, "mails", MINUTE)
    put(broker, "mails", -MINUTE, MessageState.DELAYED)
    put(broker, "mails", MINUTE, MessageState.CLAIMED, claimed_by=stranger().worker, claim_token=1)
    DeadLetter.objects.using(broker).create(
        queue="mails", payload="{}", deliveries=1, reason="refused", died_at=clock.now()
    )
    control.pause("mails")

    state = found(app)["mails"]

    assert (state.waiting, state.scheduled, state.claimed) == (3, 1, 1)
    assert 179 < state.oldest_waiting_seconds < 240
    assert (state.is_paused, state.dead_letters) == (True, 1)


def test_what_is_due_waits_also_when_nobody_looks(broker, app):
    put(broker, "mails", MINUTE, MessageState.DELAYED)

    state = found(app)["mails"]

    assert (state.waiting, state.scheduled) == (1, 0)
    assert 59 < state.oldest_waiting_seconds < 120


def test_a_queue_is_listed_by_whoever_knows_it(broker, app):
    publish(broker, "published", "body")
    PausedQueue.objects.using(broker).create(name="paused")
    DeadLetter.objects.using(broker).create(queue="dead", payload="{}", deliveries=1, reason="", died_at=1)

    listed = found(app)

    assert sorted(listed) == ["celery", "dead", "paused", "published"]
    assert listed["celery"] == QueueState("celery", 0, 0, 0)


def test_the_figures_of_a_backlog_go_by_indexes_and_read_few_rows(broker, stranger):
    # As large as Celery's: a table of small rows is read as a whole in no more time than its index.
    fill(broker, 20_000, MessageState.READY, 0, payload_bytes=1_000)
    fill(broker, 1_000, MessageState.DELAYED, clock.seconds(3600))
    fill(broker, 100, MessageState.CLAIMED, 0, holder=stranger().worker)
    connection = connections[broker]
    with connection.cursor() as cursor:
        # PostgreSQL reads an index alone of what it has vacuumed.
        cursor.execute(ANALYZE[connection.vendor])

    with noted(connection) as statements:
        depths = figures.depths(connection, clock.now())

    assert sum(depth.ready for depth in depths.values()) == 20_000
    assert len(statements) == 4
    plan = explained(connection, statements)
    # What waits is counted in the index alone.
    slow = [line for line in plan if is_slow(line) and "COVERING" not in line and "Using index" not in line]
    # MariaDB sorts the groups of what is claimed or due.
    assert not [line for line in slow if "type=range" not in line], plan


def test_a_worker_is_alive_while_its_heart_beats(broker, app, stranger):
    silent, lost, living = stranger("silent@h"), stranger("lost@h"), stranger("web@h")
    for each in (silent, lost, living):
        each.beat()
    rows = Worker.objects.using(broker)
    rows.filter(pk=silent.worker).update(beaten_at=clock.now() - MINUTE)
    rows.filter(pk=lost.worker).update(is_lost=True)
    living.session.run(
        lambda connection, _: workers.describe(connection, living.worker, "prefork", 4, ["mails", "celery"])
    )

    states = {each.node: each for each in of_workers.workers(app)}

    assert {name: each.is_alive for name, each in states.items()} == {
        "silent@h": False,
        "lost@h": False,
        "web@h": True,
    }
    web = states["web@h"]
    assert (web.pool, web.concurrency, web.queues) == ("prefork", 4, ("mails", "celery"))
    assert 0 <= web.heartbeat_age_seconds < 30
    assert of_workers.are_alive(app)


def test_a_worker_runs_what_it_has_begun(broker, app, stranger):
    web = stranger("web@h")
    put(broker, "celery", 0, MessageState.CLAIMED, claimed_by=web.worker, claim_token=1, task_id="in a state")
    with connections[broker].cursor():
        upsert.write(
            connections[broker],
            [
                mark("begun", "STARTED", task_name="shop.pay", worker="web@h"),
                mark("in a state", "PROGRESS", task_name="shop.count", worker="web@h"),
                mark("taken", "RECEIVED", task_name="shop.pay", worker="web@h"),
                mark("elsewhere", "STARTED", task_name="shop.pay", worker="other@h"),
                mark("over", "SUCCESS", task_name="shop.pay", worker="web@h"),
            ],
        )

    with noted(connections[broker]) as statements:
        (state,) = of_workers.workers(app)

    assert sorted((task.task_id, task.task_name) for task in state.running) == [
        ("begun", "shop.pay"),
        ("in a state", "shop.count"),
    ]
    assert all(task.seconds is None or 0 <= task.seconds < 60 for task in state.running)
    assert len(statements) <= 5


def test_beside_another_broker_its_depths_are_asked_for(default_alias, redis_url):
    with results_in(default_alias):
        app = make_app(broker_url=redis_url)
        app.send_task("shop.pay", queue="mails")
        control.pause("mails")

        listed = found(app)

    assert listed["mails"] == QueueState("mails", 1, is_paused=True)
    assert listed["celery"].waiting == 0


@pytest.mark.parametrize("url", ["redis_url", "rabbitmq_url"])
def test_a_queue_of_another_broker_that_no_setting_has_is_known_by_what_was_sent(default_alias, request, url):
    with publishing_app(default_alias, broker_url=request.getfixturevalue(url)) as app:
        app.send_task("shop.pay", queue="nobodys")
        assert found(app)["nobodys"] == QueueState("nobodys", 1)

        depths.purge(app, "nobodys")
        app.control.purge()
        listed = found(app)

    # Redis has no empty queues.
    assert "nobodys" not in listed or listed["nobodys"].waiting == 0


def test_rabbitmq_goes_on_after_a_queue_that_is_not_there(default_alias, rabbitmq_url):
    with results_in(default_alias):
        app = make_app(broker_url=rabbitmq_url)
        app.send_task("shop.pay", queue="mails")
        PausedQueue.objects.using(default_alias).create(name="absent")
        control.pause("mails")

        listed = found(app)

    assert (listed["absent"].waiting, listed["mails"].waiting) == (None, 1)
