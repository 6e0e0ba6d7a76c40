"""What failed is sent again and succeeds, one or many, on every database and broker."""

from pathlib import Path

from tests.process.project import Project, wait_until

TASKS = """
    import os, pathlib, signal
    from celery import shared_task

    @shared_task
    def work(path, number):
        if not pathlib.Path(path).exists():
            raise ValueError(f"not yet {number}")
        return 2 * number

    @shared_task
    def die_until(path):
        if not pathlib.Path(path).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"
"""


def test_what_failed_is_sent_again_and_succeeds(project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    project.write("again/tasks.py", TASKS)
    with project.worker("-c", "2") as worker:
        ids = project.python(
            f"""
            from celery import chain, chord
            from again.tasks import work
            from tasks import add, total
            path = {str(marker)!r}
            body = chord([work.s(path, 1), add.s(3, 4)], total.s()).delay()
            linked = chain(work.s(path, 5), add.s(1)).delay()
            alone = [work.delay(path, number) for number in range(3)]
            for each in [body, linked, *alone]:
                each.get(timeout=50, propagate=False)
            result = [body.id, linked.id, [each.id for each in alone]]
            """
        )
        marker.write_text("")
        ended = project.python(
            f"""
            from celery.result import AsyncResult
            from celeriac import control
            from celeriac.models import Attempt, TaskRecord
            from django.db import transaction
            from django_celery_results.models import TaskResult
            from celeriac.errors import CannotBeSentAgain
            body, linked, alone = {ids!r}
            with transaction.atomic():
                one = control.retry(alone[0])
            told = []
            failed = TaskResult.objects.filter(status="FAILURE", task_name="again.tasks.work")
            done = control.retry_many(failed, progress=lambda sofar: told.append(sofar.done))
            values = [AsyncResult(each).get(timeout=50) for each in (*alone, body, linked)]
            try:
                control.retry(alone[0])
            except CannotBeSentAgain as error:
                refused = str(error)
            new = control.retry(alone[1], as_new=True)
            values.append(new.get(timeout=50))
            origin = TaskRecord.objects.get(task_id=new.id).origin_id == alone[1]
            result = [values, done.sent, told, refused.partition(": ")[2], origin, Attempt.objects.count()]
            """
        )
        assert ended[0] == [0, 2, 4, 9, 11, 2], worker.output
        assert ended[1:3] == [4, [4]]
        assert ended[3].startswith("it succeeded")
        assert ended[4:] == [True, 5]
        assert worker.stop() == 0, worker.output


def test_a_dead_letter_is_replayed_when_its_fault_is_mended(
    database_project: Project, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    database_project.write("again/tasks.py", TASKS)
    with database_project.worker("-c", "1") as worker:
        told = database_project.python(
            f"""
            from celeriac.models import Attempt
            from again.tasks import die_until
            ended = die_until.delay({str(marker)!r})
            ended.get(timeout=50, propagate=False)
            kept = [[each.number, each.outcome] for each in Attempt.objects.order_by("number")]
            result = [ended.id, ended.state, kept]
            """
        )
        lost = [[number, "LOST"] for number in range(1, 6)]
        assert told[1:] == ["FAILURE", [*lost, [6, "GIVEN_UP"]]], worker.output
        letters = "from celeriac.models import DeadLetter; result = DeadLetter.objects.count()"
        wait_until(lambda: database_project.python(letters) == 1, "the letter is there")
        marker.write_text("")
        value = database_project.python(
            """
            from celeriac import control
            from celeriac.models import DeadLetter
            result = [control.replay(DeadLetter.objects.get()).get(timeout=50), DeadLetter.objects.count()]
            """
        )
        assert value == ["alive", 0], worker.output
        assert worker.stop() == 0, worker.output


def test_a_broker_that_is_away_leaves_what_ended_as_it_had(sqlite_project: Project) -> None:
    sqlite_project.write("again/tasks.py", TASKS)
    sqlite_project.add_settings("CELERY_BROKER_URL = 'redis://127.0.0.1:1/0'")

    told = sqlite_project.python(
        """
        from celeriac import control
        from celeriac.models import TaskRecord
        from celeriac.publisher.recording import _encoded
        from celery import current_app
        from celery.app.task import Context
        from django_celery_results.models import TaskResult
        from again.tasks import work
        message = work.app.amqp.as_task_v2("a", work.name, ("/nowhere", 1), {})
        text = _encoded(message, {"queue": "celery"})
        TaskRecord.objects.create(task_id="a", task_name=work.name, message=text)
        request = Context(id="a", task=work.name, hostname="w@h", delivery_info={})
        work.backend.mark_as_failure("a", ValueError("no stock"), "where it was", request=request)
        before = TaskResult.objects.values("status", "result", "traceback").get()
        try:
            control.retry("a")
        except Exception as error:
            told = str(error)
        after = TaskResult.objects.values("status", "result", "traceback").get()
        result = [told, before == after, TaskRecord.objects.get().finished_at is not None]
        """
    )

    # From some version on kombu shows that there might be a password.
    assert "Task again.tasks.work was not sent: the broker redis://" in told[0]
    assert "127.0.0.1:1/0 cannot be reached" in told[0]
    assert told[1:] == [True, True]
