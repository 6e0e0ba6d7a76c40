"""How an idle worker waits: its share of a core, its memory, and how soon a task starts after its commit.

    .venv/bin/python -m benchmarks.pickup [sqlite] [postgresql] [mariadb]

prints a Markdown table. Each row is a project of its own with a worker of two processes; the database is
made for it and dropped. Quote it with the machine, the date and the load of that moment.
"""

import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("CELERIAC_TEST_SESSION", f"celeriac_bench_{os.getpid()}")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.databases import TestDatabases  # noqa: E402 - Django must be set up first
from tests.process.conftest import database_settings, made  # noqa: E402 - see above
from tests.process.project import Project  # noqa: E402 - see above

IDLE_SECONDS = 20.0
TASKS = 200
VENDORS = ("sqlite", "postgresql", "mariadb")

STAMP = """
    import time
    from celery import shared_task

    @shared_task
    def stamp():
        return time.time()
"""
#: Tasks come one by one to a worker that has nothing to do; the pause is longer than any look-again.
PUBLISH = f"""
import time
from bench.tasks import stamp
result = []
for _ in range({TASKS}):
    time.sleep(0.06)
    sent = stamp.delay()
    committed = time.time()
    result.append(sent.get(timeout=30) - committed)
"""


def main(vendors: list[str]) -> None:
    """Measure each database in turn and print the table."""
    databases = TestDatabases()
    print("| database | idle, share of a core | memory, main process | pick-up p50 | p95 | p99 |")
    print("|---|---|---|---|---|---|")
    try:
        for vendor in vendors:
            with tempfile.TemporaryDirectory() as directory:
                settings = "" if vendor == "sqlite" else database_settings(databases.get(vendor))
                project = made(Path(directory) / "project", settings)
                project.write("bench/tasks.py", STAMP)
                print(_row(vendor, project), flush=True)
    finally:
        databases.drop_all()


def _row(vendor: str, project: Project) -> str:
    with project.worker("-c", "2") as worker:
        project.python(PUBLISH.replace(str(TASKS), "5"))  # Everything is imported and connected.
        share, memory = _idle(worker.process.pid)
        waits = sorted(1000 * seconds for seconds in project.python(PUBLISH))
        worker.stop()
    p95, p99 = (waits[int(len(waits) * share)] for share in (0.95, 0.99))
    return (
        f"| {vendor} | {share:.2%} | {memory:.0f} MB | {statistics.median(waits):.1f} ms "
        f"| {p95:.1f} ms | {p99:.1f} ms |"
    )


def _idle(process: int) -> tuple[float, float]:
    """The share of a core that the worker and its pool take, and the main process's memory in MB."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    processes = [process, *map(int, children)]
    before = sum(map(_seconds, processes))
    threading.Event().wait(IDLE_SECONDS)
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    used = sum(map(_seconds, processes)) - before
    return used / IDLE_SECONDS, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _seconds(process: int) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1:] or list(VENDORS))
