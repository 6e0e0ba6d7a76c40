"""A worker tells nobody the values of sensitive arguments, and its task gets them."""

from pathlib import Path

from tests.process.project import Project, wait_until

SECRET = "hunter2-and-more"
TASKS = """
    import pathlib, time
    from celery import shared_task

    @shared_task(sensitive=["pin"])
    def pay(path, pin):
        pathlib.Path(path + ".begun").write_text("")
        while not pathlib.Path(path).exists():
            time.sleep(0.05)
        return len(pin)
"""


def test_neither_rows_nor_remote_control_nor_log_have_them(project: Project, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    project.write("shop/tasks.py", TASKS)
    with project.worker("-c", "1", "-E", "-l", "INFO") as worker:
        project.python(f"from shop.tasks import pay; result = pay.delay({str(gate)!r}, {SECRET!r}).id")
        wait_until(gate.with_name("gate.begun").exists, "the task runs")
        told = project.python(
            f"""
            from pathlib import Path
            from celery.result import AsyncResult
            from celeriac.app import get_app
            from django_celery_results.models import TaskResult
            active = get_app().control.inspect(timeout=20).active()
            Path({str(gate)!r}).write_text("")
            row = TaskResult.objects.get()
            result = [repr(active), AsyncResult(row.task_id).get(timeout=30)]
            result.append([row.task_args, row.task_kwargs])
            """
        )
        assert worker.stop() == 0, worker.output

    active, value, stored = told
    assert value == len(SECRET)
    assert "shop.tasks.pay" in active
    assert "***" in active
    assert "***" in stored[0]
    assert SECRET not in active + str(stored) + worker.output
