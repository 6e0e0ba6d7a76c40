"""Every run that did not succeed is kept, whatever ended it, on every database and broker."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.process.project import Project, wait_until

TASKS = """
    import os, pathlib, signal, time
    from celery import shared_task
    from celery.exceptions import Reject

    @shared_task(ignore_result=True)
    def fail_unheard(path):
        raise LookupError("unheard")

    @shared_task(bind=True, ignore_result=True, max_retries=1)
    def retry_unheard(self):
        if not self.request.retries:
            raise self.retry(exc=LookupError("again"), countdown=0)

    @shared_task
    def refuse_once(path):
        marker = pathlib.Path(path)
        if not marker.exists():
            marker.write_text("")
            raise Reject("not yet", requeue=True)
        return "taken"

    @shared_task(time_limit=1)
    def sleep_too_long():
        time.sleep(60)

    @shared_task
    def die_once(path):
        marker = pathlib.Path(path)
        if not marker.exists():
            marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"
"""
KEPT = """
    from celeriac.models import Attempt
    result = sorted(
        [each.task_name.rpartition(".")[2], each.number, each.outcome, each.exception.rpartition(".")[2],
         each.worker.partition("@")[0], each.started_at is not None]
        for each in Attempt.objects.all()
    )
"""


def kept(project: Project) -> Any:
    return project.python(KEPT)


@pytest.fixture
def unlucky(project: Project) -> Project:
    project.write("unlucky/tasks.py", TASKS)
    return project


def test_each_run_that_did_not_succeed_is_kept(unlucky: Project, tmp_path: Path) -> None:
    with unlucky.worker("-c", "1", "-n", "one@%h") as worker:
        states = unlucky.python(
            f"""
            from tasks import add, fail, flaky
            from unlucky.tasks import die_once, fail_unheard, refuse_once, retry_unheard, sleep_too_long
            fail_unheard.delay("x"), retry_unheard.delay()
            results = [add.delay(1, 1), fail.delay(), flaky.delay(), sleep_too_long.delay(),
                       refuse_once.delay({str(tmp_path / "refused")!r}),
                       die_once.delay({str(tmp_path / "died")!r})]
            for each in results:
                each.get(timeout=50, propagate=False)
            result = [each.state for each in results]
            """
        )
        assert states == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"], worker.output
        wanted = [
            ["die_once", 1, "LOST", "WorkerLostError", "one", True],
            ["fail", 1, "FAILURE", "ValueError", "one", True],
            ["fail_unheard", 1, "FAILURE", "LookupError", "one", False],
            ["flaky", 1, "RETRY", "Retry", "one", True],
            ["flaky", 2, "RETRY", "Retry", "one", True],
            ["refuse_once", 1, "REJECTED", "Reject", "one", True],
            ["retry_unheard", 1, "RETRY", "LookupError", "one", False],
            ["sleep_too_long", 1, "TIME_LIMIT", "TimeLimitExceeded", "one", True],
        ]
        wait_until(lambda: len(kept(unlucky)) >= len(wanted), "all are kept")
        assert worker.stop() == 0, worker.output

    assert kept(unlucky) == wanted


def test_what_ran_in_a_killed_worker_is_kept_by_another(project: Project, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with (
        project.worker("-c", "1", "-n", "first@%h") as first,
        project.worker("-c", "1", "-n", "second@%h", "-Q", "other") as second,
    ):
        project.python(
            f"""
            from tasks import add, hold
            hold.delay({str(notes)!r}, {str(gate)!r}), add.delay(1, 1)
            result = None
            """
        )
        wait_until(notes.exists, "the first task begins")
        wait_until(lambda: project.statuses().get("STARTED"), "its beginning is stored")
        first.signal(signal.SIGKILL)
        second.wait_for_line("first@.* is lost")
        gate.write_text("")

        assert kept(project) == [["hold", 1, "LOST", "WorkerLostError", "first", True]], second.output


def test_attempts_are_kept_where_another_backend_has_the_results(
    sqlite_project: Project, redis_url: str, tmp_path: Path
) -> None:
    sqlite_project.add_settings(f"CELERY_RESULT_BACKEND = {redis_url!r}")
    sqlite_project.write("unlucky/tasks.py", TASKS)
    with sqlite_project.worker("-c", "1", "-n", "one@%h") as worker:
        sqlite_project.python(
            f"""
            from tasks import add, fail, flaky
            from unlucky.tasks import die_once, sleep_too_long
            results = [add.delay(1, 1), fail.delay(), flaky.delay(), sleep_too_long.delay(),
                       die_once.delay({str(tmp_path / "died")!r})]
            result = [each.get(timeout=50, propagate=False) and 1 for each in results]
            """
        )
        wait_until(lambda: len(kept(sqlite_project)) == 5, "all are kept")
        assert worker.stop() == 0, worker.output

    told = [each[:4] for each in kept(sqlite_project)]
    assert told == [
        ["die_once", 1, "LOST", "WorkerLostError"],
        ["fail", 1, "FAILURE", "ValueError"],
        ["flaky", 1, "RETRY", "Retry"],
        ["flaky", 2, "RETRY", "Retry"],
        ["sleep_too_long", 1, "TIME_LIMIT", "TimeLimitExceeded"],
    ]
