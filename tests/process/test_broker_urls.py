"""CELERY_BROKER_URL in Celery's other forms: several to fall back on, one to read and one to write."""

import re

import pytest

from tests.process.project import Project

ADD = "from tasks import add; result = add.delay(2, 2).get(timeout=60)"
#: Nobody listens there.
AWAY = "amqp://guest:guest@127.0.0.1:1//"


def test_a_broker_that_is_away_has_another_behind_it(sqlite_project: Project, rabbitmq_url: str) -> None:
    sqlite_project.add_settings(f"CELERY_BROKER_URL = [{AWAY!r}, {rabbitmq_url!r}]")

    with sqlite_project.worker("-c", "1") as worker:
        assert sqlite_project.python(ADD) == 4, worker.output


def test_the_banner_names_the_broker_that_is_read(sqlite_project: Project, redis_url: str) -> None:
    sqlite_project.add_settings(
        f"CELERY_BROKER_READ_URL = {redis_url!r}\nCELERY_BROKER_WRITE_URL = {redis_url!r}"
    )

    with sqlite_project.worker("-c", "1") as worker:
        assert sqlite_project.python(ADD) == 4, worker.output

    # The newest kombu puts an empty password into it.
    assert "broker   redis://" in worker.output


@pytest.mark.parametrize("words", ["status", "call tasks.add 1 2"])
def test_a_broker_that_refuses_is_one_line(sqlite_project: Project, rabbitmq_url: str, words: str) -> None:
    wrong = re.sub("//[^@]*@", "//guest:wrong@", rabbitmq_url)
    sqlite_project.add_settings(f"CELERY_BROKER_URL = {wrong!r}")

    refused = sqlite_project.manage("celery", *words.split(), check=False)

    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "refuses: " in refused.stderr.splitlines()[-1]
    assert "ACCESS_REFUSED" in refused.stderr.splitlines()[-1]
    assert "wrong" not in refused.stderr
