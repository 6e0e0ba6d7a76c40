"""Fault F20: a task that nobody knew is deployed after all; its dead letter is replayed and runs."""

from tests.process.project import Project, wait_until

#: The queue has another name than the key by which messages come to it.
SETTINGS = """
    from kombu import Exchange, Queue
    CELERY_TASK_QUEUES = [
        Queue("celery"),
        Queue("post", Exchange("office", type="topic"), routing_key="post.#"),
        Queue("mails", Exchange("office", type="topic"), routing_key="mail.#"),
    ]
    CELERIAC = {"UNKNOWN_TASK_SECONDS": 1}
"""
LETTERS = "from celeriac.models import DeadLetter; result = DeadLetter.objects.count()"


def test_the_letter_of_an_unknown_task_runs_once_the_task_is_there(project: Project) -> None:
    project.add_settings(SETTINGS)
    with project.worker("-c", "1") as worker:
        task_id = project.python(
            """
            from celeriac.app import get_app
            sent = get_app().send_task(
                "later.tasks.greet", ("whole",), {"password": "1234-5678"}, queue="mails",
                routing_key="mail.to.all",
            )
            sent.get(timeout=40, propagate=False)
            result = sent.id
            """
        )
        wait_until(lambda: project.python(LETTERS) == 1, "its letter is there")
        assert worker.stop() == 0, worker.output
    project.write(
        "later/tasks.py",
        """
        from celery import shared_task

        @shared_task
        def greet(text, password):
            raise ValueError(f"{text} {password}")
        """,
    )

    with project.worker("-c", "1") as worker:
        found = project.python(
            """
            from celeriac import control
            from celeriac.models import Attempt, DeadLetter
            from django_celery_results.models import TaskResult
            letter = DeadLetter.objects.get()
            result = [letter.queue, str(control.replay(letter).get(timeout=40, propagate=False))]
            attempts = Attempt.objects.order_by("number")
            result += [list(attempts.values_list("outcome", flat=True)), DeadLetter.objects.count()]
            result += [letter.task_id]
            row = TaskResult.objects.values_list("result", "traceback", "task_args", "task_kwargs").get()
            texts = [*row, *attempts.values_list("message", "traceback").last()]
            result += [[text for text in texts if "1234-5678" in (text or "")]]
            """
        )
        assert worker.stop() == 0, worker.output

    assert found == ["mails", "whole ***", ["GIVEN_UP", "FAILURE"], 0, task_id, []]
