"""Fault F19: tasks that end whoever runs them have so many runs, then a dead letter; replayed, too."""

from collections import Counter
from pathlib import Path

from tests.process.project import Project, wait_until

GOOD, DELIVERIES = 60, 3
KINDS = ("segfault", "exit", "kill")

TASKS = """
    import os, signal
    from celery import shared_task

    def begin(ledger, name):
        file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{name}\\n".encode())
        os.close(file)

    @shared_task
    def good(ledger, number):
        begin(ledger, number)

    @shared_task
    def segfault(ledger):
        begin(ledger, "segfault")
        os.kill(os.getpid(), signal.SIGSEGV)

    @shared_task
    def exit(ledger):
        begin(ledger, "exit")
        os._exit(3)

    @shared_task
    def kill(ledger):
        begin(ledger, "kill")
        os.kill(os.getpid(), signal.SIGKILL)
"""

LETTERS = "from celeriac.models import DeadLetter; result = DeadLetter.objects.count()"


def test_poison_is_given_up_and_the_others_run(project: Project, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    project.write("mixed/tasks.py", TASKS)
    project.add_settings(f'CELERIAC = {{"MAX_DELIVERIES": {DELIVERIES}}}')
    with project.worker("-c", "2") as worker:
        project.python(
            f"""
            from mixed import tasks
            path, result = {str(ledger)!r}, None
            for number in range({GOOD}):
                tasks.good.delay(path, number)
                if number % 20 == 5:
                    getattr(tasks, {KINDS!r}[number // 20]).delay(path)
            """
        )
        ended = {"SUCCESS": GOOD, "FAILURE": len(KINDS)}
        wait_until(lambda: project.statuses() == ended, f"all end: {worker.output[-3000:]}")
        found = project.python(
            """
            from celeriac.models import DeadLetter
            from django_celery_results.models import TaskResult
            failed = TaskResult.objects.filter(status="FAILURE")
            result = [sorted(DeadLetter.objects.values_list("task_id", "deliveries", "reason")),
                      sorted(failed.values_list("task_id", flat=True)),
                      list(failed.values_list("result", flat=True))]
            """
        )
        times = Counter(ledger.read_text().split())
        sent = project.python(
            """
            from celeriac import control
            from celeriac.models import DeadLetter
            result = control.replay_many(DeadLetter.objects.all()).sent
            """
        )
        wait_until(lambda: project.python(LETTERS) == len(KINDS), f"they end again: {worker.output[-3000:]}")
        assert worker.stop() == 0, worker.output

    letters, failed, results = found
    again = Counter(ledger.read_text().split())
    assert sent == len(KINDS)
    assert {kind: again[kind] for kind in KINDS} == dict.fromkeys(KINDS, 2 * DELIVERIES), worker.output
    assert {kind: times[kind] for kind in KINDS} == dict.fromkeys(KINDS, DELIVERIES), worker.output
    assert {times[str(number)] for number in range(GOOD)} == {1}
    assert [task_id for task_id, _, _ in letters] == failed
    assert all(f"delivered {DELIVERIES} times" in reason for _, _, reason in letters), letters
    assert all("WorkerLostError" in result for result in results), results
