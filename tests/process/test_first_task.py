"""What the README promises: two files of tasks, one command, rows in the result table."""

import signal
from pathlib import Path

from celery.platforms import EX_FAILURE

from tests.process.project import Project, wait_until


def test_tasks_beside_manage_and_in_a_nested_directory_run(project: Project) -> None:
    with project.worker("-c", "2") as worker:
        result = project.python(
            """
            from tasks import add, fail, flaky
            from office.post.tasks import shout
            sum_, loud, tried = add.delay(2, 2), shout.delay("hello"), flaky.delay()
            broken = fail.delay()
            result = [sum_.get(timeout=30), loud.get(timeout=30), tried.get(timeout=30),
                      type(broken.get(timeout=30, propagate=False)).__name__]
            """
        )

        assert result == [4, "HELLO", 2, "ValueError"]
        assert project.statuses() == {"SUCCESS": 3, "FAILURE": 1}
        assert worker.stop() == 0, worker.output


def test_chains_groups_and_chords_end(project: Project) -> None:
    with project.worker("-c", "2") as worker:
        result = project.python(
            """
            from celery import chain, chord, group
            from tasks import add, total
            in_a_row = chain(add.s(1, 1), add.s(2), add.s(3)).delay()
            side_by_side = group(add.s(n, n) for n in range(10)).delay()
            summed = chord(add.s(n, n) for n in range(10))(total.s())
            result = [in_a_row.get(timeout=30), sum(side_by_side.get(timeout=30)), summed.get(timeout=30)]
            """
        )

        assert result == [7, 90, 90]
        assert worker.stop() == 0, worker.output


def test_a_rolled_back_delay_never_runs(database_project: Project) -> None:
    with database_project.worker("-c", "1"):
        result = database_project.python(
            """
            from django.db import transaction
            from celeriac.models import Message, TaskRecord
            from django_celery_results.models import TaskResult
            from tasks import add
            try:
                with transaction.atomic():
                    lost = add.delay(1, 1).id
                    raise KeyError
            except KeyError:
                pass
            with transaction.atomic():
                kept = add.delay(2, 2)
                inside = Message.objects.count(), TaskResult.objects.get(task_id=kept.id).status
            known = [model.objects.filter(task_id=lost).count() for model in (TaskRecord, TaskResult)]
            result = [kept.get(timeout=30), inside, known]
            """
        )

    assert result == [4, [1, "PENDING"], [0, 0]]


def test_a_countdown_waits_in_the_database(database_project: Project) -> None:
    with database_project.worker("-c", "1") as worker:
        delayed = database_project.python(
            """
            import time
            from celeriac.models import Message
            from tasks import add
            begun = time.monotonic()
            later = add.apply_async((1, 1), countdown=1.5)
            state = Message.objects.get().state
            value = later.get(timeout=30)
            far = add.apply_async((1, 1), countdown=3600)
            result = [value, state, time.monotonic() - begun >= 1.4, far.id]
            """
        )

        assert delayed[:3] == [2, 0, True]
        assert delayed[3] not in worker.output


def test_ctrl_c_finishes_the_running_task(database_project: Project, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with database_project.worker("-c", "1") as worker:
        database_project.python(
            f"""
            from tasks import hold
            result = [hold.delay({str(notes)!r}, {str(gate)!r}).id for _ in range(2)]
            """
        )
        wait_until(notes.exists, "the first task begins")

        worker.signal(signal.SIGINT)
        worker.wait_for_line("Warm shutdown")
        gate.touch()

        # Celery's own code for a worker that was interrupted.
        assert worker.wait() == EX_FAILURE, worker.output
        assert notes.read_text() == "begin\nend\n"
    with database_project.worker("-c", "1"):
        wait_until(
            lambda: database_project.statuses() == {"SUCCESS": 2}, "the second task runs in the next worker"
        )
    assert notes.read_text() == "begin\nend\nbegin\nend\n"


def test_a_retry_inside_a_transaction_is_not_rolled_back(database_project: Project) -> None:
    database_project.write(
        "books/tasks.py",
        """
        from celery import shared_task
        from django.contrib.auth.models import Group
        from django.db import transaction

        @shared_task(bind=True, max_retries=3)
        @transaction.atomic
        def add_group(self):
            Group.objects.create(name=f"try {self.request.retries}")
            if self.request.retries < 2:
                raise self.retry(countdown=0)
            return self.request.retries

        @shared_task(bind=True)
        def swap(self):
            with transaction.atomic():
                raise self.replace(add_group.s())
        """,
    )
    with database_project.worker("-c", "1") as worker:
        result = database_project.python(
            """
            from books.tasks import add_group, swap
            from django.contrib.auth.models import Group
            tried = add_group.delay().get(timeout=30)
            groups = list(Group.objects.values_list("name", flat=True))
            Group.objects.all().delete()
            result = [tried, groups, swap.delay().get(timeout=30)]
            Group.objects.all().delete()
            """
        )

        assert result == [2, ["try 2"], 2], worker.output
