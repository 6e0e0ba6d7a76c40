"""Fault F21: old workers beside new ones: a task that only those know is run by them, none is lost."""

from collections import Counter
from pathlib import Path

from tests.process.project import Project, wait_until

#: RabbitMQ and Redis give each to an old worker first, every other time.
TASKS, TASKS_OF_OTHER_BROKERS = 300, 100
MOST_RETURNS = 3

#: Known to every worker; says which messages came to one that did not know their task.
WATCHING = """
    from celery import shared_task, signals

    @signals.task_unknown.connect
    def came(id=None, **_):
        with open({returns!r}, "a") as file:
            file.write(id + "\\n")

    @shared_task
    def known():
        pass
"""
NEW = """
    from celery import shared_task

    @shared_task
    def new(ledger, number):
        with open(ledger, "a") as file:
            file.write(f"{number}\\n")
"""


def test_a_new_task_is_run_by_the_workers_that_know_it(project: Project, tmp_path: Path) -> None:
    ledger, returns = tmp_path / "ledger", tmp_path / "returns"
    is_database = project.broker().startswith("django")
    tasks = TASKS if is_database else TASKS_OF_OTHER_BROKERS
    project.write("watching/tasks.py", WATCHING.format(returns=str(returns)))
    with project.worker("-c", "2", "-n", "old@%h") as old:
        project.write("newer/tasks.py", NEW)
        project.python(
            f"""
            from newer.tasks import new
            result = [new.delay({str(ledger)!r}, number).id for number in range({tasks})]
            """
        )
        old.wait_for_line("newer.tasks.new")
        # What it knows goes on beside them.
        beside = project.python("from tasks import add; result = add.delay(1, 1).get(timeout=30)")
        with project.worker("-c", "2", "-n", "new@%h") as newer:
            done = {"SUCCESS": tasks + 1}
            wait_until(lambda: project.statuses() == done, "each is run by the worker that knows it")
            assert (old.stop(), newer.stop()) == (0, 0)
        letters = project.python(
            "from celeriac.models import DeadLetter; result = DeadLetter.objects.count()"
        )

    assert beside == 2
    assert letters == 0
    assert sorted(map(int, ledger.read_text().split())) == list(range(tasks))
    if is_database:
        # RabbitMQ and Redis let nobody choose what they are given.
        assert max(Counter(returns.read_text().split()).values()) <= MOST_RETURNS


def test_a_task_that_nobody_comes_to_know_becomes_a_dead_letter(project: Project) -> None:
    project.add_settings('CELERIAC = {"UNKNOWN_TASK_SECONDS": 2}')
    with project.worker("-c", "1") as worker:
        first = project.python(
            """
            from celeriac.app import get_app
            sent = get_app().send_task("nobody.knows", ("whole",), {"a": 1})
            error = sent.get(timeout=40, propagate=False)
            result = [sent.id, sent.state, type(error).__name__, str(error)]
            """
        )
        found = project.python(
            """
            import json
            from celeriac.models import DeadLetter, Message
            from tasks import add
            add.delay(1, 1).get(timeout=30)
            letter = DeadLetter.objects.get()
            message = json.loads(letter.payload)
            result = [letter.task_id, letter.task_name, letter.queue, letter.reason, Message.objects.count(),
                      message["headers"]["id"], json.loads(message["body"])[:2], letter.deliveries]
            """
        )
        assert worker.stop() == 0, worker.output

    task_id, state, kind, text = first
    assert (state, kind) == ("FAILURE", "NotRegistered"), worker.output
    assert "no worker knew its task" in text
    assert found[:3] == [task_id, "nobody.knows", "celery"]
    assert found[3].startswith("no worker knew its task for ")
    assert found[4:] == [0, task_id, [["whole"], {"a": 1}], 1]
