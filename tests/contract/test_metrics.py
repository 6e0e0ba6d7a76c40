"""Metrics: each end of a task is counted once, whoever asks, and a strange reader is refused."""

import json
import uuid
from datetime import timedelta

import pytest
from celery import Celery, states
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.broker import clock
from celeriac.metrics import exposition, families, totals, view
from celeriac.metrics.durations import LIMITS
from celeriac.models import ScheduleState, TaskTotal, Tick, TotalsCursor, Worker

NOW = timezone.now()
TOKEN = {"METRICS_TOKEN": "secret"}


def ended(alias: str, name: str, state: str, *, ago: float, ran: float | None = None) -> None:
    done = NOW - timedelta(seconds=ago)
    row = TaskResult._default_manager.using(alias).create(
        task_id=uuid.uuid4().hex, task_name=name, status=state
    )
    started = None if ran is None else done - timedelta(seconds=ran)
    TaskResult._default_manager.using(alias).filter(pk=row.pk).update(date_done=done, date_started=started)


def counts(alias: str, *, later: float = 0) -> dict[tuple[str, str], int]:
    found = totals.totals(alias, now=NOW + timedelta(seconds=later))
    return {key: total.count for key, total in found.by_task_and_state.items()}


@pytest.fixture
def begun(alias):
    """Totals are counted since an hour ago."""
    TotalsCursor.objects.using(alias).create(pk=1, counted_until=NOW - timedelta(hours=1))
    return alias


def test_counting_begins_with_the_first_question(alias):
    ended(alias, "old", states.SUCCESS, ago=60)

    assert counts(alias) == {}
    ended(alias, "new", states.SUCCESS, ago=5)
    assert counts(alias, later=10) == {("new", states.SUCCESS): 1}


def test_each_end_is_counted_once_by_type_and_state(begun):
    ended(begun, "mail", states.SUCCESS, ago=60, ran=0.2)
    ended(begun, "mail", states.SUCCESS, ago=50, ran=90)
    ended(begun, "mail", states.FAILURE, ago=40, ran=1)
    ended(begun, "report", states.REVOKED, ago=30)
    ended(begun, "report", states.STARTED, ago=20)

    expected = {
        ("mail", states.SUCCESS): 2,
        ("mail", states.FAILURE): 1,
        ("report", states.REVOKED): 1,
    }
    assert counts(begun) == expected
    assert counts(begun) == expected
    mails = totals.totals(begun, now=NOW).by_task_and_state["mail", states.SUCCESS].durations
    assert mails.count == 2
    assert mails.seconds == pytest.approx(90.2, abs=0.01)
    assert dict(zip(LIMITS, mails.within, strict=True)) == {
        limit: (limit >= 0.25) + (limit >= 300) for limit in LIMITS
    }


def test_a_result_that_is_not_settled_yet_is_left_for_later(begun):
    ended(begun, "mail", states.SUCCESS, ago=2)

    assert counts(begun) == {}
    assert counts(begun, later=9) == {("mail", states.SUCCESS): 1}


def test_many_are_counted_in_steps_of_which_one_question_does_some(begun, monkeypatch):
    monkeypatch.setattr(totals, "STEP", 2)
    monkeypatch.setattr(totals, "_MOST_STEPS", 2)
    for number in range(7):
        ended(begun, "mail", states.SUCCESS, ago=100 - number // 2)

    seen = [counts(begun).get(("mail", states.SUCCESS)) for _ in range(3)]

    assert seen == [4, 7, 7]


def test_a_question_costs_as_many_statements_as_task_types_ended_since_the_last_one(begun):
    for number in range(50):
        ended(begun, "mail", states.SUCCESS, ago=60 + number)
    counts(begun)
    ended(begun, "mail", states.SUCCESS, ago=20)

    with CaptureQueriesContext(connections[begun]) as asked:
        counts(begun, later=1)

    assert len([each for each in asked if "taskresult" in each["sql"]]) == 2
    assert len(asked) <= 12


@pytest.fixture
def urls(settings_with_urls):
    view.options.cache_clear()
    yield
    view.options.cache_clear()


@pytest.fixture
def settings_with_urls():
    with override_settings(ROOT_URLCONF="celeriac.urls", CELERIAC=TOKEN):
        yield


def test_a_monitor_with_the_token_reads_everything(default_alias, urls):
    TaskTotal.objects.create(
        task_name='a "task"\n', state=states.SUCCESS, count=3, timed=2, seconds=1.5, within=json.dumps([1, 2])
    )

    answer = Client().get("/metrics/", headers={"Authorization": "Bearer secret"})

    assert answer.status_code == 200
    assert answer["Content-Type"] == exposition.CONTENT_TYPE
    lines = answer.content.decode().splitlines()
    assert r'celeriac_tasks_total{task="a \"task\"\n",state="SUCCESS"} 3' in lines
    assert 'celeriac_queue_messages{queue="celery",state="waiting"} 0' in lines
    assert 'celeriac_workers{state="up"} 0' in lines
    assert 'celeriac_up{part="tasks"} 1' in lines
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert len(named) == len([line for line in lines if line.startswith("# TYPE")])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}])
def test_a_stranger_is_refused(default_alias, urls, headers):
    assert Client().get("/metrics/", headers=headers).status_code == 401


def test_without_a_token_nobody_has_it(default_alias, settings_with_urls):
    with override_settings(CELERIAC={}):
        assert Client().get("/metrics/", headers={"Authorization": "Bearer None"}).status_code == 401


@pytest.mark.parametrize(("is_staff", "code"), [(True, 200), (False, 401)])
def test_the_staff_may_read(default_alias, rf_user, is_staff, code):
    assert rf_user(is_staff).status_code == code


@pytest.fixture
def rf_user():
    """What a user of the site gets."""
    from django.test import RequestFactory

    def ask(is_staff: bool):
        request = RequestFactory().get("/metrics/")
        request.user = User(username="x", is_staff=is_staff)
        return view.metrics(request)

    return ask


def test_a_part_that_cannot_be_asked_is_told(default_alias, monkeypatch):
    from celeriac.errors import Unreachable

    def fail(_):
        raise Unreachable("gone")

    monkeypatch.setitem(families.SOURCES, "queues", fail)

    told = exposition.text(families.families(view.get_app()))

    assert 'celeriac_up{part="queues"} 0' in told
    assert "celeriac_workers" in told


def samples(names):
    told = exposition.text(families.families(view.get_app())).splitlines()
    return dict(line.split() for line in told if line.startswith(names) and "#" not in line)


def test_the_lag_of_the_schedule_is_told_once_a_worker_has_carried_it(default_alias):
    assert samples("celeriac_schedule") == {}
    now = clock.now()
    for name, late in (("report", 90), ("later", -60)):
        due = now - clock.seconds(late)
        ScheduleState.objects.create(name=name, anchor=0, next_due=due, seen_at=now)
    for number, (lag, ago) in enumerate(((1, 5), (3, 10), (500, 600))):
        fired = now - clock.seconds(ago)
        Tick.objects.create(name=str(number), due=fired - clock.seconds(lag), fired_at=fired)

    with CaptureQueriesContext(connections[default_alias]) as asked:
        list(families.SOURCES["schedule"](view.get_app()))
    found = samples("celeriac_schedule")

    assert 90 <= float(found.pop("celeriac_schedule_lag_seconds")) < 150
    assert found == {
        "celeriac_schedule_entries": "2",
        "celeriac_schedule_carried": "1",
        "celeriac_schedule_tick_lag_seconds": "3",
    }
    assert len(asked) <= 4


def test_where_workers_have_no_rows_none_is_said_to_be_away():
    app = Celery("elsewhere", broker="memory://", backend="disabled://", set_as_current=False)

    assert list(families.SOURCES["workers"](app)) == []


def test_two_lives_of_one_worker_are_one_sample(default_alias):
    known = {"node": "one@here", "host": "here", "pool": "prefork", "queues": "celery", "has_lock": True}
    for pid, concurrency in ((1, 4), (2, 8)):
        Worker.objects.create(
            pid=pid, concurrency=concurrency, started_at=clock.now(), beaten_at=clock.now(), **known
        )

    told = exposition.text(families.families(view.get_app())).splitlines()
    found = [line for line in told if line.startswith("celeriac_worker_concurrency")]
    assert found == ['celeriac_worker_concurrency{worker="one@here"} 8']


def test_when_nothing_ends_it_is_counted_until_now_all_the_same(begun):
    assert totals.totals(begun, now=NOW).counted_until == NOW - totals.LAG


def test_another_scheduler_has_no_lag_of_ours(default_alias):
    now = clock.now()
    ScheduleState.objects.create(name="old", anchor=0, next_due=now - clock.seconds(90), seen_at=now)

    with override_settings(CELERY_BEAT_SCHEDULER="django_celery_beat.schedulers:DatabaseScheduler"):
        assert samples("celeriac_schedule") == {}
