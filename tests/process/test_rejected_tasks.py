"""A task that refuses its own message ends, and so does what waits for it."""

from tests.process.project import Project

TASKS = """
    from celery import shared_task
    from celery.exceptions import Reject

    @shared_task
    def refuse(requeue=False):
        raise Reject("not today", requeue=requeue)

    @shared_task(bind=True)
    def retry_what_cannot_be_sent(self, value=None):
        raise self.retry(args=(object(),), countdown=0)

    @shared_task(bind=True)
    def refuse_once(self):
        if not self.request.delivery_info["redelivered"]:
            raise Reject("later", requeue=True)
        return "done"
"""


def test_a_task_that_becomes_a_dead_letter_ends_as_failure(database_project: Project) -> None:
    database_project.write("refusing/tasks.py", TASKS)
    with database_project.worker("-c", "1") as worker:
        ended = database_project.python(
            """
            from celery import chord
            from celeriac.models import DeadLetter
            from refusing.tasks import refuse, refuse_once, retry_what_cannot_be_sent
            from tasks import add, total
            results = [refuse.delay(), retry_what_cannot_be_sent.delay(),
                       chord([refuse.s(), add.s(1, 1)], total.s()).delay(), refuse_once.delay()]
            values = [repr(each.get(timeout=30, propagate=False)) for each in results]
            result = [[each.state for each in results], values]
            """
        )
        # When the next task has run, what came before it is settled.
        letters = database_project.python(
            """
            from celeriac.models import DeadLetter
            from tasks import add
            add.delay(1, 1).get(timeout=30)
            result = DeadLetter.objects.filter(reason__contains="reject").count()
            """
        )

    states, values = ended
    assert states == ["FAILURE", "FAILURE", "FAILURE", "SUCCESS"], worker.output
    assert "not today" in values[0]
    assert "cannot be sent" in values[1]
    assert "ChordError" in values[2]
    assert letters == 3, worker.output
