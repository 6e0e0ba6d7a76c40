"""A worker's schedule, its two ways to stop, and the words around it."""

import json
import signal
import time
from pathlib import Path

import pytest
from celery.platforms import EX_FAILURE

from tests.process.project import Project, wait_until

#: Celery's soft shutdown would wait this long for the task that a second Ctrl-C is meant to cut.
SOFT_SHUTDOWN_SECONDS = 10


def test_beat_runs_the_schedule(sqlite_project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    sqlite_project.add_settings(
        f"""
        CELERY_BEAT_SCHEDULE = {{
            "often": {{"task": "tasks.note", "schedule": 0.5, "args": [{str(notes)!r}, "tick"]}},
        }}
        """
    )

    with sqlite_project.worker("--beat", "-c", "1") as worker:
        wait_until(lambda: notes.exists() and notes.read_text().count("\ntick") >= 2, "the schedule runs")
        code = worker.stop()

    assert "schedule in this worker: 2 of the settings" in worker.output
    assert code == 0, worker.output


def test_a_second_ctrl_c_stops_at_once_and_the_cut_task_runs_again(
    database_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with database_project.worker("-c", "1", "-l", "debug") as worker:
        database_project.python(
            f"from tasks import hold; result = hold.delay({str(notes)!r}, {str(gate)!r}).id"
        )
        wait_until(notes.exists, "the task begins")
        worker.signal(signal.SIGINT)
        worker.wait_for_line(r"Worker: (Closing|Stopping) ")

        began = time.monotonic()
        worker.signal(signal.SIGINT)

        assert worker.wait() == EX_FAILURE, worker.output
        assert time.monotonic() - began < SOFT_SHUTDOWN_SECONDS - 2
    gate.touch()
    with database_project.worker("-c", "1"):
        wait_until(lambda: database_project.statuses() == {"SUCCESS": 1}, "the cut task runs to its end")
    assert notes.read_text() == "begin\nbegin\nend\n"


def test_discovered_lists_each_file_with_its_tasks_or_the_reason(sqlite_project: Project) -> None:
    sqlite_project.write("tests/tasks.py", "from celery import shared_task\n")

    table = sqlite_project.manage("celery", "discovered").stdout
    listed = json.loads(sqlite_project.manage("celery", "discovered", "--json").stdout)

    rows = [line.split("\t") for line in table.splitlines()]
    assert [row[0] for row in rows] == [entry["file"] for entry in listed]
    by_name = {entry["file"].removeprefix(f"{sqlite_project.directory}/"): entry for entry in listed}
    assert by_name["office/post/tasks.py"] == {
        "file": str(sqlite_project.directory / "office/post/tasks.py"),
        "module": "office.post.tasks",
        "tasks": ["office.post.tasks.shout"],
        "left_out": None,
        "error": None,
    }
    assert by_name["tests/tasks.py"]["tasks"] == []
    assert by_name["tests/tasks.py"]["left_out"]
    assert [str(sqlite_project.directory / "tasks.py"), "tasks"] in [row[:2] for row in rows]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["start", "--pool-start-method", "nix"], "--pool-start-method 'nix' is unknown. Use fork or spawn."),
        (["pingg"], "celery ended with code 2"),
    ],
)
def test_call_command_raises_command_error(sqlite_project: Project, words: list[str], text: str) -> None:
    said = sqlite_project.python(
        f"""
        from django.core.management import CommandError, call_command
        try:
            call_command("celery", *{words!r})
        except CommandError as error:
            result = str(error)
        """
    )

    assert said == text


def test_results_in_djangos_cache(sqlite_project: Project, tmp_path: Path) -> None:
    cache = {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(tmp_path / "cache"),
    }
    sqlite_project.add_settings(f'CELERY_RESULT_BACKEND = "django-cache"\nCACHES = {{"default": {cache!r}}}')

    with sqlite_project.worker("-c", "1") as worker:
        values = sqlite_project.python(
            """
            from celery import chord
            from django_celery_results.models import TaskResult
            from tasks import add, fail
            good, bad = add.delay(2, 2), fail.delay()
            result = [good.get(timeout=30), type(bad.get(timeout=30, propagate=False)).__name__,
                      type(good.backend).__name__, TaskResult.objects.count()]
            """
        )
        code = worker.stop()

    assert values == [4, "ValueError", "CacheBackend", 0]
    assert code == 0, worker.output
