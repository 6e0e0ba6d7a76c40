"""Results, records and dead letters go when they are old, whatever backend there is and without a beat."""

from datetime import timedelta

import pytest
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.broker import clock
from celeriac.models import DeadLetter, TaskRecord, Tick
from celeriac.results import retention
from celeriac.worker import housekeeping
from celeriac.worker.housekeeping import Housekeeper
from tests.broker import wait_until
from tests.results import make_app, results_in


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield _with_other_results(alias)


def _with_other_results(alias, **conf):
    made = make_app(broker_url=f"django://{alias}", **conf)
    made.backend_cls = "celery.backends.cache:CacheBackend"
    made.conf.cache_backend = "memory"
    return made


@pytest.fixture
def old(alias):
    """Two of each, one of them old."""
    for name, days in [("old", 60), ("new", 0)]:
        then = timezone.now() - timedelta(days=days)
        TaskRecord.objects.using(alias).create(task_id=name, task_name="t", published_at=then)
        Tick.objects.using(alias).create(name=name, due=_moment(days), fired_at=_moment(days), task_id=name)
        DeadLetter.objects.using(alias).create(
            queue="celery", task_id=name, payload="{}", deliveries=1, reason="r", died_at=_moment(days)
        )


def _moment(days):
    return clock.now() - clock.seconds(days * 86_400)


def left(alias, model):
    return sorted(model.objects.using(alias).values_list("task_id", flat=True))


def test_celerys_clean_up_expires_our_tables_too(app, alias, old):
    housekeeping.connect()

    app.tasks["celery.backend_cleanup"].apply()

    assert (left(alias, TaskRecord), left(alias, DeadLetter)) == (["new"], ["new"])


def test_a_worker_does_it_without_a_beat(app, alias, old):
    keeper = Housekeeper(app, first=0.001, period=0.001)
    keeper.start()
    try:
        wait_until(lambda: left(alias, TaskRecord) == ["new"], "the records are tidied up")
    finally:
        keeper.stop()
        keeper.stop()

    assert left(alias, DeadLetter) == ["new"]


def test_what_ended_goes_like_a_result(app, alias):
    ended = timezone.now() - timedelta(days=2)
    TaskRecord.objects.using(alias).create(task_id="a", task_name="t", published_at=ended, finished_at=ended)

    assert sum(housekeeping.tidy(app)) == 1


def test_records_stay_for_ever_where_results_do(alias, old):
    with results_in(alias):
        sum(housekeeping.tidy(_with_other_results(alias, result_expires=None)))

    assert (left(alias, TaskRecord), left(alias, DeadLetter)) == (["new", "old"], ["new"])


def test_our_own_results_go_without_a_beat_too(alias, old):
    with results_in(alias):
        for name in ("old", "new"):
            TaskResult.objects.using(alias).create(task_id=name, status="SUCCESS")
        then = timezone.now() - timedelta(days=2)
        TaskResult.objects.using(alias).filter(task_id="old").update(date_done=then)

        sum(housekeeping.tidy(make_app(broker_url=f"django://{alias}")))

    assert left(alias, TaskResult) == left(alias, TaskRecord) == left(alias, DeadLetter) == ["new"]


def test_dead_letters_go_in_steps(alias):
    DeadLetter.objects.using(alias).bulk_create(
        DeadLetter(queue="q", payload="{}", deliveries=1, reason="r", died_at=_moment(31)) for _ in range(25)
    )

    assert list(retention.expire_dead_letters(alias, step=10)) == [10, 10, 5]


def test_a_dead_letter_of_this_month_stays(alias):
    DeadLetter.objects.using(alias).create(
        queue="q", payload="{}", deliveries=1, reason="r", died_at=_moment(29)
    )

    assert list(retention.expire_dead_letters(alias)) == []


@pytest.mark.parametrize(("days", "count"), [(28, 0), (30, 1), (1e300, 1)])
def test_the_settings_say_how_long_dead_letters_stay(default_alias, days, count):
    DeadLetter.objects.create(queue="q", payload="{}", deliveries=1, reason="r", died_at=_moment(29))

    with override_settings(CELERIAC={"DEAD_LETTER_DAYS": days}):
        list(retention.expire_dead_letters(default_alias))

    assert DeadLetter.objects.count() == count


def test_an_error_ends_neither_the_thread_nor_the_worker(app, alias, old, monkeypatch, caplog):
    real, failing = housekeeping.tidy, iter([True])

    def tidy(app):
        if next(failing, False):
            raise ValueError("on purpose")
        return real(app)

    monkeypatch.setattr(housekeeping, "tidy", tidy)
    keeper = Housekeeper(app, first=0.001, period=0.001)
    keeper.start()
    try:
        wait_until(lambda: left(alias, TaskRecord) == ["new"], "the second try")
    finally:
        keeper.stop()

    assert "could not be deleted" in caplog.text


def test_a_project_without_our_tables_is_told_of_nothing(app, alias, monkeypatch, caplog):
    tries = []

    def tidy(_):
        tries.append(1)
        connections[alias].cursor().execute("SELECT id FROM celeriac_nowhere")
        yield 0

    monkeypatch.setattr(housekeeping, "tidy", tidy)
    keeper = Housekeeper(app, first=0.001, period=0.001)
    keeper.start()
    try:
        wait_until(lambda: len(tries) > 1, "the second try")
    finally:
        keeper.stop()

    assert "could not be deleted" not in caplog.text
