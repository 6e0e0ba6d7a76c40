"""Faults F2 and F3: workers and their processes killed with -9, and what others make of it."""

import signal
from pathlib import Path

from tests.process.project import Project, wait_until

TASKS = 2000
KILLS = 5
CONCURRENCY = 2


def test_two_thousand_tasks_survive_five_kills(database_project: Project, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    acknowledged = database_project.python(
        f"""
        from tasks import note
        result = [note.delay({str(ledger)!r}, str(number)).id for number in range({TASKS})]
        """
    )
    for kill in range(KILLS):
        with database_project.worker("-c", str(CONCURRENCY)) as worker:
            # Never at a round number: within a batch, not between two.
            some_more = TASKS * (kill + 1) // (KILLS + 1) + 7 * kill
            _wait_for(ledger, some_more)
            worker.signal(signal.SIGKILL)
            worker.process.wait()
    with database_project.worker("-c", str(CONCURRENCY)) as worker:
        left = "from celeriac.models import Message; result = Message.objects.count()"
        wait_until(lambda: database_project.python(left) == 0, "every message is done")
        assert worker.stop() == 0, worker.output

    executed = [line for line in ledger.read_text().splitlines() if not line.startswith("begin")]
    assert len(acknowledged) == TASKS
    assert len(set(executed)) == TASKS
    # Only what ran at the moment of a kill may run twice.
    assert len(executed) - TASKS <= KILLS * CONCURRENCY
    # Of these alone: a worker stores what another one on this host left, also one of an earlier test.
    (tmp_path / "ids").write_text("\n".join(acknowledged))
    states = database_project.python(
        f"""
        from pathlib import Path
        from django_celery_results.models import TaskResult
        found = dict(TaskResult.objects.values_list("task_id", "status"))
        result = sorted({{found.get(each) for each in Path({str(tmp_path / "ids")!r}).read_text().split()}})
        """
    )
    assert states == ["SUCCESS"]


def test_another_worker_takes_over_what_a_killed_one_held(database_project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with (
        database_project.worker("-c", "1", "-n", "first@%h") as first,
        database_project.worker("-c", "1", "-n", "second@%h", "-Q", "other") as second,
    ):
        database_project.python(
            f"""
            from tasks import note
            seconds = [3.0, 0, 0, 0]
            result = [note.delay({str(notes)!r}, str(number), seconds[number]).id for number in range(4)]
            """
        )
        wait_until(notes.exists, "the first task begins")
        first.signal(signal.SIGKILL)
        second.wait_for_line("first@.* is lost; 4 messages go to the others")

    with database_project.worker("-c", "1", "-n", "third@%h"):
        wait_until(lambda: database_project.statuses() == {"SUCCESS": 4}, "all end")
    lines = notes.read_text().splitlines()
    assert [lines.count(str(number)) for number in range(1, 4)] == [1, 1, 1]


def test_a_worker_with_the_name_of_a_killed_one_starts_at_once(database_project: Project) -> None:
    with database_project.worker("-c", "1", "-n", "same@%h") as first:
        first.signal(signal.SIGKILL)
        first.process.wait()

    with database_project.worker("-c", "1", "-n", "same@%h") as second:
        assert second.stop() == 0


def test_a_pool_child_killed_in_a_task_runs_it_again(database_project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    database_project.write(
        "suicide/tasks.py",
        f"""
        import os, pathlib, signal
        from celery import shared_task

        @shared_task
        def die_once():
            marker = pathlib.Path({str(marker)!r})
            if not marker.exists():
                marker.write_text("")
                os.kill(os.getpid(), signal.SIGKILL)
            return "alive"
        """,
    )
    with database_project.worker("-c", "1") as worker:
        value = database_project.python(
            "from suicide.tasks import die_once; result = die_once.delay().get(timeout=40)"
        )
        assert value == "alive", worker.output


def test_a_task_that_always_kills_its_child_becomes_a_dead_letter(sqlite_project: Project) -> None:
    sqlite_project.write(
        "poison/tasks.py",
        """
        import os, signal
        from celery import shared_task

        @shared_task
        def die():
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    with sqlite_project.worker("-c", "1") as worker:
        result = sqlite_project.python(
            """
            from celeriac.models import DeadLetter, Message
            from poison.tasks import die
            from tasks import add
            ended = die.delay()
            outcome = ended.get(timeout=50, propagate=False)
            letter = DeadLetter.objects.get()
            result = [ended.status, type(outcome).__name__, letter.task_id == ended.id, letter.reason,
                      Message.objects.count(), add.delay(1, 1).get(timeout=20)]
            """
        )
        assert worker.stop() == 0, worker.output

    assert result[0:3] == ["FAILURE", "WorkerLostError", True]
    assert "delivered 5 times" in result[3]
    assert result[4:] == [0, 2]


def _wait_for(ledger: Path, executions: int) -> None:
    wait_until(lambda: _executions(ledger) >= executions, "the worker gets on")


def _executions(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    return sum(1 for line in ledger.read_text().splitlines() if not line.startswith("begin"))
