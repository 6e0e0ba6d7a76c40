"""`self.retry()` while the broker is away: the task runs again, and is neither deleted nor given up."""

from pathlib import Path

from tests.process.project import Project

#: A broker where nobody answers, for one message alone.
TASKS = """
    import os
    from celery import shared_task
    from kombu import Connection

    @shared_task(bind=True)
    def retry_into_the_void(self, marker):
        if self.request.retries:
            return "retried"
        if os.path.exists(marker):
            raise self.retry(countdown=0)
        open(marker, "w").close()
        raise self.retry(countdown=0, connection=Connection("amqp://127.0.0.1:1//"))
"""


def test_a_retry_that_cannot_be_sent_gives_its_message_back(project: Project, tmp_path: Path) -> None:
    project.write("void/tasks.py", TASKS)
    with project.worker("-c", "1") as worker:
        state, value, letters = project.python(
            f"""
            from celeriac.models import DeadLetter
            from void.tasks import retry_into_the_void
            sent = retry_into_the_void.delay({str(tmp_path / "marker")!r})
            value = sent.get(timeout=50, propagate=False)
            result = [sent.state, repr(value), DeadLetter.objects.count()]
            """
        )
        assert worker.stop() == 0, worker.output

    assert (state, value, letters) == ("SUCCESS", "'retried'", 0), worker.output
