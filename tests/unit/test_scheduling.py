"""Whose scheduler a worker with -B carries: ours, unless the project or the command names another."""

from types import SimpleNamespace

import pytest
from celery import Celery
from celery.beat import Scheduler
from django.db import OperationalError

from celeriac.worker import scheduling
from celeriac.worker.preflight import Preflight

THEIRS = "django_celery_beat.schedulers:DatabaseScheduler"


def worker(**conf):
    app = Celery("scheduling", broker="memory://", set_as_current=False)
    app.conf.update(conf)
    return SimpleNamespace(app=app, prepare_args=lambda **given: given)


@pytest.mark.parametrize(
    ("options", "conf", "is_ours"),
    [
        ({"beat": True}, {}, True),
        ({"beat": True, "scheduler": None}, {}, True),
        ({"beat": True, "scheduler": THEIRS}, {}, False),
        ({"beat": True}, {"beat_scheduler": THEIRS}, False),
        ({"beat": False}, {}, False),
        ({}, {}, False),
    ],
)
def test_a_scheduler_that_is_named_is_the_one_that_is_started(options, conf, is_ours):
    made = worker(**conf)

    scheduling._take_over(made, options)

    assert scheduling.is_asked_for(made) is is_ours
    # What Celery would start by itself.
    assert made.prepare_args(**options).get("beat", False) is (bool(options.get("beat")) and not is_ours)


def test_a_project_without_tables_starts_no_scheduler_by_itself(monkeypatch):
    app, nothing = worker().app, Preflight(None, None, switched_to_wal=False)
    monkeypatch.setattr(scheduling, "_missing", lambda _: ["default"])

    assert not scheduling.is_possible(app, nothing)
    assert scheduling.is_possible(app, Preflight("default", None, switched_to_wal=False))
    monkeypatch.setattr(scheduling, "_has_database", lambda _: False)
    assert not scheduling.is_possible(app, Preflight("default", None, switched_to_wal=False))


def test_a_database_that_is_away_at_the_start_takes_no_schedule_from_a_project(monkeypatch):
    def away(_):
        raise OperationalError("connection refused")

    monkeypatch.setattr(scheduling, "_missing", away)
    nothing = Preflight(None, None, switched_to_wal=False)

    assert scheduling.is_possible(worker(beat_schedule={"poll": {"task": "t", "schedule": 5}}).app, nothing)
    assert not scheduling.is_possible(worker().app, nothing)

    # The thread waits for it.
    begun = []
    monkeypatch.setattr(scheduling, "Scheduler", lambda app: SimpleNamespace(start=lambda: begun.append(app)))
    monkeypatch.setattr(scheduling, "_scheduler", None)
    app = worker().app
    scheduling.start(app)
    assert begun == [app]


def test_what_a_beat_sends_says_whose_task_it_is():
    app = Celery("scheduling", broker="memory://", set_as_current=False)
    app.conf.beat_scheduler = THEIRS
    app.conf.beat_schedule = {
        "each": {"task": "shop.poll", "schedule": 1.0, "options": {"headers": {"x": 1}, "queue": "mails"}}
    }
    sent = []
    beat = Scheduler(app, lazy=True)
    beat.setup_schedule()
    beat.send_task = lambda *_, **options: sent.append(options)

    scheduling._on_beat(SimpleNamespace(app=app, scheduler=beat))
    for _ in range(2):
        beat.apply_async(beat.schedule["each"])

    for options in sent:
        assert options["queue"] == "mails"
        headers = options["headers"]
        assert (headers["periodic_task_name"], headers["x"]) == ("each", 1)
    assert len(sent) == 2
