"""A task with `acks_late=False` whose worker is killed: it ends, is told of, and can be sent again."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import emptied_afterwards
from tests.process.conftest import database_settings, made
from tests.process.project import Project, wait_until

TASKS = """
    import os, time
    from celery import shared_task

    @shared_task(acks_late=False)
    def hold_early(notes, gate):
        with open(notes, "a") as file:
            file.write("begin\\n")
        while not os.path.exists(gate):
            time.sleep(0.05)
        return "computed"

    @shared_task
    def tell(request, error, traceback):
        with open(request.args[0] + ".told", "a") as file:
            file.write(f"{type(error).__name__}: {error}\\n")
"""
TOLD = """
    from celeriac.models import Attempt, Message
    from django_celery_results.models import TaskResult
    row = TaskResult.objects.get()
    result = [row.status, "WorkerLostError" in row.result, Message.objects.count()]
    result += [[each.outcome, each.exception.rpartition(".")[2], each.worker.partition("@")[0]]
               for each in Attempt.objects.all()]
"""


@pytest.fixture(params=["sqlite", "rabbitmq"])
def early(request: Any, tmp_path: Path) -> Iterator[Project]:
    """A project on SQLite, and one on RabbitMQ with its results in PostgreSQL."""
    if request.param == "sqlite":
        project = made(tmp_path / "project")
        project.write("early/tasks.py", TASKS)
        yield project
        return
    url = request.getfixturevalue("rabbitmq_url")
    alias = request.getfixturevalue("databases").get("postgresql")
    with emptied_afterwards(alias):
        project = made(tmp_path / "project", f"{database_settings(alias)}\nCELERY_BROKER_URL = {url!r}")
        project.write("early/tasks.py", TASKS)
        yield project


def test_it_ends_with_its_worker_and_can_be_sent_again(early: Project, tmp_path: Path) -> None:
    notes, gate, told = tmp_path / "notes", tmp_path / "gate", tmp_path / "notes.told"
    with (
        early.worker("-c", "1", "-n", "first@%h") as first,
        early.worker("-c", "1", "-n", "second@%h", "-Q", "other") as second,
    ):
        task_id = early.python(
            f"""
            from early.tasks import hold_early, tell
            arguments = [{str(notes)!r}, {str(gate)!r}]
            result = hold_early.apply_async(arguments, link_error=tell.s()).id
            """
        )
        wait_until(notes.exists, "the task begins")
        wait_until(lambda: early.python(TOLD)[:3] == ["STARTED", False, 0], "it is acknowledged")
        # On SQLite the main process alone: the one of its pool is left, and runs on.
        kill = os.kill if early.broker() == "django://" else os.killpg
        kill(first.process.pid, signal.SIGKILL)
        second.wait_for_line(rf"hold_early\[{task_id}\] ended with its worker")

        wait_until(told.exists, "its errback is called")
        assert early.python(TOLD) == ["FAILURE", True, 0, ["LOST", "WorkerLostError", "first"]]
        assert told.read_text().startswith("WorkerLostError: Worker exited prematurely: first@"), (
            second.output
        )
        assert second.stop() == 0, second.output

    gate.write_text("")
    with early.worker("-c", "1", "-n", "third@%h") as third:
        code = f"from celeriac import control; result = control.retry({task_id!r}).get(timeout=30)"
        assert early.python(code) == "computed", third.output
    assert notes.read_text().splitlines() == ["begin", "begin"]
