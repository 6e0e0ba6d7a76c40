"""A worker's start on Redis, where Celery reads by the loop's own poller before the loop turns."""

from pathlib import Path

from tests.process.conftest import made

#: What wakes the loop comes while the worker asks the others for what they know.
TASKS = """
    from celery import shared_task, signals
    from celery.worker.consumer.mingle import Mingle

    from celeriac.worker import flushing

    _sync = Mingle.sync

    def sync(self, consumer):
        signals.worker_shutting_down.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)
        flushing.of_external_broker().committed()
        print("woken", flush=True)
        _sync(self, consumer)

    Mingle.sync = sync

    @shared_task
    def three():
        return 3
"""


def test_what_wakes_the_loop_too_soon_does_not_end_the_worker(redis_url: str, tmp_path: Path) -> None:
    project = made(tmp_path / "project", f"CELERY_BROKER_URL = {redis_url!r}")
    project.write("early/__init__.py", "")
    project.write("early/tasks.py", TASKS)

    with project.worker("-c", "1") as worker:
        worker.wait_for_line("woken")
        assert project.python("from early.tasks import three; result = three.delay().get(timeout=60)") == 3
        assert worker.stop() == 0, worker.output
