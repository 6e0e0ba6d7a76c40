"""A project with a Celery app of its own: every command and every `delay()` uses that one."""

import json

import pytest

from tests.process.own_app import add_app
from tests.process.project import Project

CALLS = """
    import celery
    from celeriac.app import get_app
    from shop.tasks import app_name, names_of
    from tasks import add
    results = [add.delay(2, 2), app_name.delay(), names_of.delay({shop!r}), names_of.delay({beside!r})]
    values = [each.get(timeout=30) for each in results]
    result = [celery.current_app.main, get_app().conf.broker_url, *values]
"""

EXPECTED = ["own", "django://", 4, "own", ["shop.tasks"], ["tasks"]]

STARTS = {
    "manage.py celery start": ("start", ("manage.py", "celery")),
    "celery -A proj worker": ("worker", ("-m", "celery", "-A", "proj")),
}


def calls(project: Project) -> list:
    shop, beside = (str(project.directory / name) for name in ("shop/tasks.py", "tasks.py"))
    return project.python(CALLS.format(shop=shop, beside=beside))


@pytest.mark.parametrize("start", STARTS)
def test_workers_clients_and_tools_use_the_projects_own_app(sqlite_project: Project, start: str) -> None:
    add_app(sqlite_project)
    command, program = STARTS[start]

    with sqlite_project.worker("-c", "1", "-l", "info", command=command, program=program):
        values = calls(sqlite_project)
        ping = sqlite_project.celery("-A", "proj", "inspect", "ping", "--json")
        registered = sqlite_project.celery("-A", "proj", "inspect", "registered", "--json")

    assert values == EXPECTED
    assert sqlite_project.statuses() == {"SUCCESS": 4}
    assert list(json.loads(ping.stdout).values()) == [{"ok": "pong"}]
    (names,) = json.loads(registered.stdout).values()
    assert {"tasks.add", "shop.tasks.names_of", "office.post.tasks.shout"} <= set(names)


@pytest.mark.parametrize(
    ("module", "package", "setting"),
    [
        pytest.param("office.app", None, 'CELERIAC = {"APP": "office.app:app"}', id="CELERIAC"),
        pytest.param("proj.celery_app", "proj", "", id="proj/__init__.py"),
    ],
)
def test_an_app_in_another_module_is_found(
    sqlite_project: Project, module: str, package: str | None, setting: str
) -> None:
    add_app(sqlite_project, module=module, package=package)
    sqlite_project.add_settings(setting)

    with sqlite_project.worker("-c", "1"):
        values = calls(sqlite_project)
        ping = sqlite_project.celery("-A", module, "inspect", "ping", "--json")

    assert values == EXPECTED
    assert list(json.loads(ping.stdout).values()) == [{"ok": "pong"}]


def test_celerys_own_command_records_and_lists(sqlite_project: Project) -> None:
    add_app(sqlite_project)

    sqlite_project.celery("-A", "proj", "call", "tasks.add", "-a", "[1, 2]")
    listed = sqlite_project.celery("-A", "proj", "discovered", "--json")

    assert sqlite_project.statuses() == {"PENDING": 1}
    assert {"tasks", "shop.tasks"} <= {row["module"] for row in json.loads(listed.stdout)}


def test_celerys_own_command_says_a_wrong_setting_in_one_line(sqlite_project: Project) -> None:
    add_app(sqlite_project)
    sqlite_project.add_settings('CELERIAC = {"POL_SECONDS": 1}')

    ended = sqlite_project.celery("-A", "proj", "inspect", "ping", check=False)

    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "Error: CELERIAC has no key 'POL_SECONDS'. Did you mean 'POLL_SECONDS'?"
    ]


def test_celerys_own_command_leaves_a_project_without_celeriac_alone(sqlite_project: Project) -> None:
    add_app(sqlite_project)
    sqlite_project.add_settings('INSTALLED_APPS.remove("celeriac")')

    ended = sqlite_project.celery("-A", "proj", "report")

    assert "transport:amqp" in ended.stdout


@pytest.mark.parametrize(
    "options",
    [["--pool-start-method=spawn", "-c", "1"], ["-P", "threads", "-c", "2"], ["-P", "solo"]],
    ids=["spawn", "threads", "solo"],
)
def test_every_pool_runs_tasks_and_stops(sqlite_project: Project, options: list[str]) -> None:
    add_app(sqlite_project)

    with sqlite_project.worker(*options) as worker:
        values = calls(sqlite_project)
        code = worker.stop()

    assert values == EXPECTED
    left = sqlite_project.python("from celeriac.models import Message; result = Message.objects.count()")
    assert left == 0
    assert sqlite_project.statuses() == {"SUCCESS": 4}
    assert code == 0, worker.output
