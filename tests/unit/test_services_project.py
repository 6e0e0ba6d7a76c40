"""What is found out of a project: its program and directory, its name, its servers."""

import sys
from pathlib import Path

import pytest
from celery import Celery
from django.test import override_settings

from celeriac import discovery
from celeriac.errors import CeleriacError
from celeriac.services import project
from celeriac.services.project import Wishes, plan_for


@pytest.fixture(autouse=True)
def no_task_files(monkeypatch):
    """This checkout has some that are of no project."""
    monkeypatch.setattr(discovery, "discover", list)


def plan(broker="django://", **wishes):
    return plan_for(Celery("services", broker=broker, set_as_current=False), Wishes(**wishes))


@pytest.fixture
def manage(tmp_path):
    file = tmp_path / "shop" / "manage.py"
    file.parent.mkdir()
    file.touch()
    return file


def test_the_command_is_the_one_that_asked(monkeypatch, manage):
    monkeypatch.chdir(manage.parents[1])
    monkeypatch.setattr(sys, "argv", ["shop/manage.py", "celery", "service"])

    found = plan(name="jobs")

    assert (found.program, found.directory) == ((str(manage),), manage.parent)
    assert found.words(found.workers[0])[:2] == [sys.executable, str(manage)]
    assert found.portable_words(found.workers[0])[:3] == ["python", "manage.py", "celery"]


def test_django_admin_finds_the_projects_manage_py(monkeypatch, manage):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/django-admin", "celery", "service"])

    with override_settings(BASE_DIR=manage.parent):
        assert plan().program == (str(manage),)


def test_a_project_without_manage_py_is_run_by_django(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/django-admin", "celery", "service"])
    monkeypatch.setattr(project, "project_root", lambda: tmp_path)

    found = plan()

    assert (found.program, found.directory) == (("-m", "django"), tmp_path)


@pytest.mark.parametrize(
    ("module", "name"), [("proj.settings", "proj-worker"), ("config.settings.live", "shop-worker")]
)
def test_the_name_is_the_projects(monkeypatch, manage, module, name):
    monkeypatch.setattr(sys, "argv", [str(manage), "celery", "service"])

    with override_settings(SETTINGS_MODULE=module):
        assert plan().name == name


def test_the_user_may_live_on_another_machine_only():
    found = plan(user="nobody-of-this-machine")

    assert (found.user, found.home) == ("nobody-of-this-machine", None)


@pytest.mark.parametrize(
    ("broker", "unit"), [("rediss://h/0", "redis.service"), ("pyamqp://h//", "rabbitmq-server.service")]
)
def test_the_brokers_server_is_known(broker, unit):
    assert unit in plan(broker).after
    assert ("redis" in plan(broker).extras) is ("redis" in broker)


def test_paths_that_are_given_are_of_this_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    found = plan(env_file="a.env", logs="logs")

    assert (found.env_file, found.logs) == (tmp_path / "a.env", Path(tmp_path / "logs"))


def test_what_this_host_does_not_have_is_told_and_is_not_in_the_files(tmp_path):
    found = plan(user="nobody-of-this-machine", env_file="/no/a.env", logs="/no/logs")

    assert [text.partition(" on this host")[0] for text in found.missing] == [
        "There is no user nobody-of-this-machine",
        "There is no file /no/a.env",
        "There is no directory /no/logs",
    ]
    assert found.remarks == ()
    (tmp_path / "a.env").touch()
    assert plan(env_file=str(tmp_path / "a.env"), logs=str(tmp_path)).missing == ()


@pytest.mark.parametrize("queues", [[""], [" , "], ["mail", ""]])
def test_queues_without_a_name_are_refused(queues):
    with pytest.raises(CeleriacError, match=r"names no queue\. Without the option"):
        plan(queues=queues)
