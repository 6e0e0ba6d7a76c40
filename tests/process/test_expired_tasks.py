"""A task that expired before a worker came, from its call to its result."""

from tests.process.project import Project


def test_an_expired_task_is_revoked_and_no_dead_letter(sqlite_project: Project) -> None:
    task_id = sqlite_project.python(
        "from tasks import add; result = add.apply_async((1, 1), expires=0.01).id"
    )

    with sqlite_project.worker("-c", "1") as worker:
        found = sqlite_project.python(
            f"""
            from celery.result import AsyncResult
            from celeriac.models import DeadLetter, Message
            from tasks import add
            ended = AsyncResult({task_id!r})
            error = ended.get(timeout=30, propagate=False)
            add.delay(1, 1).get(timeout=30)
            result = [ended.status, str(error), DeadLetter.objects.count()]
            """
        )
        assert worker.stop() == 0, worker.output

    assert found == ["REVOKED", "expired", 0]
    assert "ERROR" not in worker.output
