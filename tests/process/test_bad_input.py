"""What users get wrong: one line on stderr that says what to do, an exit code, and no traceback."""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from django.db import connections

from tests.databases import emptied_afterwards
from tests.process.conftest import database_settings, made
from tests.process.project import Project

#: A request of a web server may not hang longer than this.
PATIENCE_SECONDS = 10


BROKEN_TASKS = """\
from celery import shared_task

import nothing_of_this_name

@shared_task
def never():
    pass
"""


#: Celery has an exit code of its own, from 5.7 on, for a broker that does not answer.
EX_UNAVAILABLE = 69


def fails(ended: CompletedProcess[str], *, codes: tuple[int, ...] = (2,)) -> str:
    """The one line that the command ended with."""
    assert ended.returncode in codes, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]


def asks(project: Project, *words: str) -> str:
    """The one line that a question to the workers ended with."""
    return fails(project.manage("celery", *words, check=False), codes=(2, EX_UNAVAILABLE))


def test_a_pool_whose_package_is_missing_is_one_line(sqlite_project: Project) -> None:
    ended = sqlite_project.manage("celery", "start", "--pool", "eventlet", check=False)

    assert fails(ended) == "celery: This pool needs the package eventlet: pip install eventlet"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        pytest.param(
            'CELERY_BROKER_URL = "djngo://"',
            "celery: CELERY_BROKER_URL has the unknown scheme 'djngo'. Use django://, amqp://, redis:// or "
            "another of kombu's, or leave it out for the project's database.",
            id="unknown scheme",
        ),
        pytest.param(
            'CELERY_BROKER_URL = "django://nowhere"',
            "celery: CELERY_BROKER_URL names the database 'nowhere', but DATABASES has only: default.",
            id="unknown alias",
        ),
        pytest.param(
            'CELERY_BROKER_URL = "django://me:secret@host/name"',
            "celery: CELERY_BROKER_URL = 'django://ALIAS' names an alias of DATABASES, where server and "
            "password belong, and nothing else.",
            id="password",
        ),
        pytest.param(
            'CELERIAC = {"POL_SECONDS": 1}',
            "celery: CELERIAC has no key 'POL_SECONDS'. Did you mean 'POLL_SECONDS'?",
            id="unknown key",
        ),
        pytest.param(
            'DATABASES["default"]["NAME"] = BASE_DIR / "new.sqlite3"',
            "celery: Celeriac's tables are not in database 'default'. Run: python manage.py migrate",
            id="unmigrated",
        ),
        pytest.param(
            'DATABASES["default"]["NAME"] = BASE_DIR / "nowhere" / "db.sqlite3"',
            "celery: Database 'default' cannot be reached: unable to open database file. "
            "Start it, or correct DATABASES.",
            id="database away",
        ),
    ],
)
def test_a_start_that_cannot_succeed_says_why(sqlite_project: Project, settings: str, line: str) -> None:
    sqlite_project.add_settings(settings)

    assert fails(sqlite_project.manage("celery", "start", check=False)) == line


def test_a_node_name_that_does_not_fit_is_refused(sqlite_project: Project) -> None:
    line = fails(sqlite_project.manage("celery", "start", "-n", f"{'x' * 205}@h", check=False))

    assert line.startswith("celery: The node name xxx")
    assert line.endswith("… has 207 characters, and 186 are possible. Give a shorter one with -n.")


def test_a_worker_without_a_connection_to_spare_does_not_start(databases, tmp_path: Path) -> None:
    alias = databases.get("postgresql")
    with emptied_afterwards(alias), a_role_with_one_connection(alias) as role:
        project = made(tmp_path / "project", database_settings(alias))
        project.add_settings(f"DATABASES['default']['USER'] = {role!r}")

        line = fails(project.manage("celery", "start", check=False))

    assert line.startswith("celery: The worker cannot start. The broker's database 'default': ")
    assert "too many connections" in line


@contextmanager
def a_role_with_one_connection(alias: str) -> Iterator[str]:
    name = f"celeriac_{uuid.uuid4().hex[:12]}"
    with connections[alias].cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 1")
        cursor.execute("SELECT current_user")
        [(owner,)] = cursor.fetchall()
        cursor.execute(f"GRANT {owner} TO {name}")
        try:
            yield name
        finally:
            cursor.execute(f"DROP ROLE {name}")


def test_a_question_says_the_unknown_scheme_too(sqlite_project: Project) -> None:
    sqlite_project.add_settings('CELERY_BROKER_URL = "djngo://"')

    assert "unknown scheme 'djngo'" in asks(sqlite_project, "status")


def test_a_question_says_the_missing_tables_too(sqlite_project: Project) -> None:
    sqlite_project.add_settings('DATABASES["default"]["NAME"] = BASE_DIR / "new.sqlite3"')

    assert asks(sqlite_project, "status").endswith("Run: python manage.py migrate")


def test_a_server_that_is_away_is_named(sqlite_project: Project) -> None:
    pytest.importorskip("psycopg")
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sqlite_project.add_settings(
            f"""
            DATABASES["default"] = {{
                "ENGINE": "django.db.backends.postgresql", "NAME": "x", "USER": "x",
                "PASSWORD": "secret", "HOST": "127.0.0.1", "PORT": {port},
            }}
            """
        )

        line = fails(sqlite_project.manage("celery", "start", check=False))

        asked = asks(sqlite_project, "inspect", "ping")
        ours = asks(sqlite_project, "status")

    assert "Database 'default' cannot be reached" in line
    assert "database 'default' cannot be reached" in asked
    assert "A database cannot be reached" in ours
    for said in (line, asked, ours):
        assert str(port) in said
        assert said.endswith("Start it, or correct DATABASES.")
        assert "secret" not in said


def test_a_task_file_that_fails_is_named_with_line_and_error(sqlite_project: Project) -> None:
    sqlite_project.write("office/tasks.py", BROKEN_TASKS)

    started = fails(sqlite_project.manage("celery", "start", check=False))
    listed = sqlite_project.manage("celery", "discovered", check=False)

    assert fails(listed) == started
    # The others are listed all the same.
    assert "tasks.add" in listed.stdout
    assert "shout" in listed.stdout
    assert started == (
        "celery: office/tasks.py cannot be imported: line 3: "
        "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    )


def test_a_second_worker_of_the_same_name_does_not_start(database_project: Project) -> None:
    with database_project.worker("-c", "1", "-n", "one@%h") as first:
        line = fails(database_project.manage("celery", "start", "-c", "1", "-n", "one@%h", check=False))
        still = database_project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")

    assert "one@" in line
    assert "-n" in line
    assert still == 2, first.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["strt"], "celery: There is no command 'strt'. Did you mean start?"),
        (["start", "--concurency", "2"], "--concurency"),
        (["start", "--pool-start-method", "nix"], "celery: --pool-start-method 'nix' is unknown."),
        (["discovered", "--jsn"], "celery: discovered: no option '--jsn'; did you mean --json?"),
    ],
    ids=["command", "option", "value", "option of ours"],
)
def test_an_unknown_word_is_a_usage_error(sqlite_project: Project, words: list[str], text: str) -> None:
    ended = sqlite_project.manage("celery", *words, check=False)

    assert ended.returncode == 2
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture(params=["closed", "mute"])
def unreachable(request) -> Iterator[int]:
    """A port of this machine where nobody listens, or where somebody does and never answers."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        if request.param == "mute":
            taken.listen(8)
        yield taken.getsockname()[1]


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_command_ends_in_one_line_when_the_broker_is_away(sqlite_project: Project, scheme: str) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        sqlite_project.add_settings(f'CELERY_BROKER_URL = "{scheme}://me:secret@{address}/"')

        asked = asks(sqlite_project, "inspect", "ping")
        called = fails(sqlite_project.manage("celery", "call", "tasks.add", "1", "1", check=False))

    # Before 5.7 the first line is ours, from then on Celery's.
    assert (
        f"The broker {scheme}://me:**@{address}/" in asked
        or "Could not connect to the message broker" in asked
    )
    assert called.startswith(f"celery: Task tasks.add was not sent: the broker {scheme}://me:**@{address}/")
    assert called.endswith("Start it, or correct CELERY_BROKER_URL.")
    assert "secret" not in asked + called


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_delay_raises_soon_when_the_broker_is_away(
    sqlite_project: Project, unreachable: int, scheme: str
) -> None:
    url = f"{scheme}://me:secret@127.0.0.1:{unreachable}/"
    sqlite_project.add_settings(f"CELERY_BROKER_URL = {url!r}")

    began = time.monotonic()
    name, text, rows = sqlite_project.python(
        """
        from kombu.exceptions import OperationalError
        from django_celery_results.models import TaskResult
        from tasks import add
        try:
            add.delay(1, 1)
        except OperationalError as error:
            result = [type(error).__module__, str(error), TaskResult.objects.count()]
        """
    )

    assert time.monotonic() - began < PATIENCE_SECONDS + 2  # Python and Django start, too.
    assert (name, rows) == ("kombu.exceptions", 0)
    assert text.startswith(
        f"Task tasks.add was not sent: the broker {scheme}://me:**@127.0.0.1:{unreachable}/"
    )
    assert "Start it, or correct CELERY_BROKER_URL." in text
    assert "secret" not in text


def test_without_the_app_of_the_results_django_says_what_to_install(sqlite_project: Project) -> None:
    sqlite_project.add_settings('INSTALLED_APPS.remove("django_celery_results")')

    ended = sqlite_project.manage("check", check=False)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: Celeriac keeps results in a table of "
        'django-celery-results: INSTALLED_APPS needs "django_celery_results" beside "celeriac".'
    )
