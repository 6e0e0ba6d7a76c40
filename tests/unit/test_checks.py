"""`manage.py check`: what would make tasks fail, each with what to do."""

import pytest
from django.core.checks import registry
from django.db import connections
from django.test import override_settings

from celeriac import checks


def ids(messages):
    return [message.id for message in messages]


def ours(*, deploy):
    every = registry.registry.get_checks(include_deployment_checks=deploy)
    return {check.__name__: check for check in every if check.__module__ == checks.__name__}


def test_the_tests_own_settings_pass_every_check():
    assert [message for check in ours(deploy=False).values() for message in check()] == []


def test_the_checks_are_registered():
    always = {"check_settings", "check_command", "check_sqlite", "check_content", "check_durable"}

    assert ours(deploy=False).keys() == always
    assert ours(deploy=True).keys() == {*always, "check_sqlite_version"}


def test_a_wrong_key_is_an_error():
    with override_settings(CELERIAC={"POL_SECONDS": 1}):
        (error,) = checks.check_settings()

    assert error.id == "celeriac.E001"
    assert "Did you mean 'POLL_SECONDS'?" in error.msg


@pytest.mark.parametrize("owner", ["other", "core"])
def test_a_celery_command_of_another_app_is_told(monkeypatch, owner):
    monkeypatch.setattr(checks, "get_commands", lambda: {"celery": owner})

    (warning,) = checks.check_command()

    assert warning.id == "celeriac.W001"
    assert warning.hint == f"Put 'celeriac' before {owner!r} in INSTALLED_APPS."


def test_our_own_command_is_no_fault():
    assert checks.check_command() == []


@pytest.fixture
def sqlite_options():
    settings = connections["default"].settings_dict
    before = settings["OPTIONS"]
    yield lambda options: settings.update(OPTIONS=options)
    settings["OPTIONS"] = before


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, '"transaction_mode": "IMMEDIATE", "timeout": 20'),
        ({"timeout": 30}, '"transaction_mode": "IMMEDIATE"'),
        ({"transaction_mode": "immediate", "timeout": 5}, '"timeout": 20'),
        ({"transaction_mode": "DEFERRED", "timeout": 20}, '"transaction_mode": "IMMEDIATE"'),
    ],
)
def test_options_that_spare_the_web_process_are_named(sqlite_options, options, hint):
    sqlite_options(options)

    (warning,) = checks.check_sqlite()

    assert warning.id == "celeriac.W002"
    assert warning.hint == f'DATABASES["default"]["OPTIONS"] = {{{hint}}}'


@pytest.mark.parametrize("url", ["django://postgresql", "memory://", "django://nowhere", "django://a:b@c"])
def test_the_options_matter_only_for_a_broker_on_sqlite(sqlite_options, url):
    sqlite_options({})

    with override_settings(CELERY_BROKER_URL=url):
        assert checks.check_sqlite() == checks.check_sqlite_version() == []


def test_a_version_of_sqlite_with_the_defect_is_told(monkeypatch):
    monkeypatch.setattr(checks, "sqlite_version_info", (3, 51, 2))

    assert ids(checks.check_sqlite_version()) == ["celeriac.W003"]


def test_a_version_of_sqlite_without_the_defect_passes(monkeypatch):
    monkeypatch.setattr(checks, "sqlite_version_info", (3, 51, 3))

    assert checks.check_sqlite_version() == []


@pytest.mark.parametrize("content", ["pickle", "yaml", "application/x-python-serialize"])
def test_content_that_can_run_code_is_an_error(content):
    with override_settings(CELERY_ACCEPT_CONTENT=["json", content]):
        (error,) = checks.check_content()

    assert error.id == "celeriac.E002"
    assert content in error.msg


def test_content_of_results_counts_too():
    with override_settings(CELERY_RESULT_ACCEPT_CONTENT=["pickle"]):
        assert ids(checks.check_content()) == ["celeriac.E002"]


def test_json_passes():
    with override_settings(CELERY_ACCEPT_CONTENT=["json", "application/json"]):
        assert checks.check_content() == []


def test_rabbitmq_that_keeps_tasks_in_memory_is_told():
    from kombu import Queue

    given = {"CELERY_BROKER_URL": "amqp://", "CELERY_TASK_DEFAULT_DELIVERY_MODE": "transient"}
    with override_settings(**given, CELERY_TASK_QUEUES=[Queue("celery"), Queue("fast", durable=False)]):
        found = checks.check_durable()
    with override_settings(CELERY_BROKER_URL="amqp://"):
        safe = checks.check_durable()

    assert ids(found) == ["celeriac.W004", "celeriac.W004"]
    assert "'fast' is not durable" in found[0].msg
    assert safe == []
