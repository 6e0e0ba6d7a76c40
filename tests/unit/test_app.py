"""The settings of the app: the user's win, ours stand below, and tests may change them for a while."""

import pytest
from celery import Celery
from django.test import override_settings

from celeriac.app import (
    BROKER_URL,
    REDIS_OPTIONS,
    RESULT_BACKEND,
    SAFE_DEFAULTS,
    adopt,
    get_app,
    read_settings,
)
from celeriac.results.backend import DatabaseBackend

#: A value for each default that nobody would take by accident.
OTHER = {
    "result_backend": "cache+memory://",
    "result_extended": False,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_track_started": False,
    "task_publish_retry_policy": {"max_retries": 9},
    "broker_connection_retry_on_startup": False,
    "broker_connection_max_retries": 7,
    "broker_pool_acquire_timeout": 1.5,
    "worker_soft_shutdown_timeout": 3.0,
    "worker_enable_soft_shutdown_on_idle": False,
}


def from_settings(namespace="CELERY", **arguments):
    """An app as the documentation of Celery makes it for Django."""
    app = Celery("own", set_as_current=False, **arguments)
    app.config_from_object("django.conf:settings", namespace=namespace)
    return app


def adopted_before(**arguments):
    app = from_settings(**arguments)
    adopt(app)
    return app


def adopted_after(**arguments):
    app = from_settings(**arguments)
    assert app.conf.task_always_eager is False
    adopt(app)
    return app


@pytest.fixture(params=["made", "adopted before its settings are read", "adopted after"])
def made(request):
    """A function that returns the app, ready for the settings of the moment."""
    if request.param == "made":
        return get_app
    return adopted_before if request.param.startswith("adopted before") else adopted_after


def test_every_default_has_another_value_in_these_tests():
    assert OTHER.keys() == SAFE_DEFAULTS.keys()


def test_defaults_are_safe(made):
    conf = made().conf

    assert {name: conf[name] for name in SAFE_DEFAULTS} == SAFE_DEFAULTS


@pytest.mark.parametrize("name", SAFE_DEFAULTS)
def test_the_users_own_setting_wins(made, name):
    with override_settings(**{f"CELERY_{name.upper()}": OTHER[name]}):
        assert made().conf[name] == OTHER[name]


@pytest.mark.parametrize("name", sorted(SAFE_DEFAULTS.keys() - {"result_backend"}))
def test_what_the_app_was_made_with_wins(name):
    app = adopted_before(**{name: OTHER[name]})

    assert app.conf[name] == OTHER[name]


def test_an_app_made_with_broker_and_backend_keeps_both():
    app = Celery("own", backend="cache+memory://", broker="memory://", set_as_current=False)
    adopt(app)

    assert app.conf.broker_url == "memory://"
    assert not isinstance(app.backend, DatabaseBackend)
    assert app.conf.task_acks_late is True


def test_an_app_made_with_django_db_has_our_backend():
    app = Celery("own", backend="django-db", set_as_current=False)
    adopt(app)

    assert type(app.backend) is DatabaseBackend
    assert app.conf.broker_url == BROKER_URL


def test_the_backend_is_ours_also_when_it_is_the_first_thing_asked_for():
    app = from_settings()
    adopt(app)

    assert type(app.backend) is DatabaseBackend


def test_a_setting_with_its_old_name_and_without_a_namespace_wins():
    with override_settings(CELERY_ACKS_LATE=False, CELERY_TRACK_STARTED=False):
        app = from_settings(namespace=None)
        adopt(app)

        assert (app.conf.task_acks_late, app.conf.task_track_started) == (False, False)
        assert app.conf.task_reject_on_worker_lost is True


@pytest.mark.parametrize("given", [{}, {"CELERY_BROKER_URL": ""}, {"CELERY_BROKER_URL": None}])
def test_without_a_broker_url_the_projects_database_is_the_broker(made, given):
    with override_settings(**given):
        app = made()

        assert app.conf.broker_url == BROKER_URL
        assert app.connection_for_write().as_uri() == "django://"


def test_the_broker_url_follows_the_settings_and_comes_back(made):
    app = made()
    before = app.conf.broker_url
    with app.producer_or_acquire() as producer:
        assert producer.connection.transport.driver_type == "django"

    with override_settings(CELERY_BROKER_URL="memory://"):
        if app is get_app():
            with app.producer_or_acquire() as producer:
                assert producer.connection.transport.driver_type == "memory"
        else:
            app = made()
        assert app.connection_for_write().transport.driver_type == "memory"

    assert before == BROKER_URL
    assert get_app().connection_for_write().as_uri() == "django://"


def test_the_result_backend_follows_the_settings_and_comes_back():
    app = get_app()
    assert type(app.backend) is DatabaseBackend

    with override_settings(CELERY_RESULT_BACKEND="cache+memory://"):
        inside = app.backend
    with override_settings(CELERY_RESULT_BACKEND="django-database"):
        alias = app.backend

    assert type(inside).__name__ == "CacheBackend"
    assert type(alias) is DatabaseBackend
    assert type(app.backend) is DatabaseBackend


def test_tasks_run_at_once_while_a_test_says_so(default_alias):
    app = get_app()

    @app.task(name="tests.test_app.double", shared=False)
    def double(number):
        return 2 * number

    try:
        with override_settings(CELERY_TASK_ALWAYS_EAGER=True):
            value = double.delay(21).get()
        assert value == 42
        assert app.conf.task_always_eager is False
    finally:
        app.tasks.unregister("tests.test_app.double")


@pytest.mark.parametrize("backend", ["django-cache", "cache+memory://", "rpc://", "disabled://"])
def test_another_result_backend_stays_the_users(made, backend):
    with override_settings(CELERY_RESULT_BACKEND=backend):
        found = made().backend

    assert not isinstance(found, DatabaseBackend)


def test_every_setting_reaches_celery_under_its_own_name():
    schedule = {"often": {"task": "tasks.add", "schedule": 1}}
    with override_settings(
        CELERY_BEAT_SCHEDULE=schedule, CELERY_TASK_DEFAULT_QUEUE="post", CELERY_TASK_SERIALIZER="yaml"
    ):
        conf = get_app().conf

        assert (conf.beat_schedule, conf.task_default_queue, conf.task_serializer) == (
            schedule,
            "post",
            "yaml",
        )
        assert conf["CELERY_TASK_DEFAULT_QUEUE"] == "post"
    assert get_app().conf.task_default_queue == "celery"


def test_a_setting_that_celery_does_not_know_is_kept(made):
    with override_settings(CELERY_SEARCH_EXPORT_EXPIRES=3600):
        conf = made().conf

        assert conf["CELERY_SEARCH_EXPORT_EXPIRES"] == conf.CELERY_SEARCH_EXPORT_EXPIRES == 3600


def test_an_old_name_reaches_celery_under_the_new_one():
    with override_settings(
        CELERY_ACKS_LATE=False, CELERY_TASK_RESULT_EXPIRES=60, CELERY_TIMEZONE="Asia/Tokyo"
    ):
        read = read_settings()
        app = Celery("own", set_as_current=False)
        app.config_from_object(read)
        adopt(app)

        assert (app.conf.task_acks_late, app.conf.result_expires) == (False, 60)
        assert str(app.conf.timezone) == "Asia/Tokyo"
        assert not app.conf.deprecated_settings


def test_the_new_name_wins_over_the_old_one():
    with override_settings(CELERY_ACKS_LATE=False, CELERY_TASK_ACKS_LATE=True):
        assert read_settings()["task_acks_late"] is True


def test_the_time_zone_is_djangos_unless_set():
    with override_settings(TIME_ZONE="Europe/Berlin"):
        read = read_settings()
        app = Celery("own", set_as_current=False)
        app.config_from_object(read)

        assert str(app.timezone) == "Europe/Berlin"


def test_redis_gets_time_limits_below_the_users_own(made):
    with override_settings(
        CELERY_BROKER_URL="redis://localhost:1/0", CELERY_BROKER_TRANSPORT_OPTIONS={"socket_timeout": 9}
    ):
        inside = made().conf.broker_transport_options
    after = made().conf.broker_transport_options

    assert inside == {**REDIS_OPTIONS, "socket_timeout": 9}
    assert after == {}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"CELERY_TASK_TIME_LIMIT": 600}, None),
        ({"CELERY_TASK_TIME_LIMIT": 7200}, 36000),
        ({"CELERY_TASK_SOFT_TIME_LIMIT": 7200, "CELERY_WORKER_PREFETCH_MULTIPLIER": 1}, 14400),
        ({"CELERY_TASK_TIME_LIMIT": 7200, "CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 9}}, 9),
    ],
)
def test_redis_gives_no_message_away_while_its_task_may_run(made, given, seconds):
    with override_settings(CELERY_BROKER_URL="redis://", **given):
        assert made().conf.broker_transport_options.get("visibility_timeout") == seconds


def test_the_backend_is_named_by_one_string():
    assert get_app().backend_cls == RESULT_BACKEND


@pytest.mark.parametrize(
    ("given", "has_timeouts"),
    [
        ({"CELERY_BROKER_URL": ["redis://a", "redis://b"]}, True),
        ({"CELERY_BROKER_URL": "sentinel://a;sentinel://b"}, True),
        ({"CELERY_BROKER_READ_URL": "redis://a", "CELERY_BROKER_WRITE_URL": "redis://b"}, True),
        ({"CELERY_BROKER_URL": ["redis://a", "amqp://b"]}, False),
        ({"CELERY_BROKER_URL": ["amqp://a", "amqp://b"]}, False),
    ],
)
def test_redis_has_timeouts_in_every_form_of_its_urls(given, has_timeouts):
    with override_settings(**given):
        app = from_settings()
        adopt(app)

        assert ("socket_timeout" in app.conf.broker_transport_options) == has_timeouts
