"""The commands as people type them, beside a worker: a task is called, found, looked at and sent again."""

import json
from pathlib import Path

from tests.process.project import Project, wait_until


def test_a_task_is_called_found_shown_and_sent_again(sqlite_project: Project, tmp_path: Path) -> None:
    project = sqlite_project
    alone = project.manage("celery", "workers", check=False)
    assert (alone.returncode, alone.stdout) == (69, ""), alone.stderr

    with project.worker("-c", "1") as worker:
        called = project.manage("celery", "call", "tasks.add", "2", "y=3", "--wait", "60")
        assert called.stdout.splitlines()[1] == "SUCCESS 5"
        failed = project.manage("celery", "call", "tasks.fail", "--wait", "60", check=False)
        assert (failed.returncode, failed.stdout.splitlines()[1]) == (1, "FAILURE ValueError: on purpose")
        task_id = failed.stdout.splitlines()[0]

        found = json.loads(project.manage("celery", "tasks", "state:failed", "since:1h", "--json").stdout)
        assert [task["task_id"] for task in found["tasks"]] == [task_id]
        shown = project.manage("celery", "tasks", "show", task_id[:10]).stdout
        assert 'raise ValueError("on purpose")' in shown

        held = project.manage("celery", "call", "tasks.hold", str(tmp_path / "notes"), str(tmp_path / "gate"))
        wait_until((tmp_path / "notes").exists, "the task has begun")
        (state,) = json.loads(project.manage("celery", "workers", "--json").stdout)["workers"]
        assert (state["is_alive"], state["concurrency"], state["queues"]) == (True, 1, ["celery"])
        wait_until(lambda: running(project) == [held.stdout.strip()], "the worker says what it runs")
        (tmp_path / "gate").touch()

        again = project.manage("celery", "retry", "--query", "state:failed", "--yes")
        assert again.stdout == "1 sent again.\n"
        wait_until(lambda: project.statuses() == {"SUCCESS": 2, "FAILURE": 1}, "it has failed again")
        assert worker.stop() == 0, worker.output
    assert project.manage("celery", "tasks", "show", task_id).stdout.count("run ") == 2


def running(project: Project) -> list[str]:
    (state,) = json.loads(project.manage("celery", "workers", "--json").stdout)["workers"]
    return [task["task_id"] for task in state["running"]]
