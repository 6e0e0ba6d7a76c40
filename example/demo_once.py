"""The demo without a browser: import, count, the shaky server and an export, then what the database says."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import states
from cities import jobs, progress
from cities.models import Attempt, City, Country, Export, Import
from demo_processes import Child, DemoError
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult

PEOPLE = 15000
SEARCH = "san"
LIMIT_SECONDS = 120
BAR_WIDTH = 40
ROWS_SHOWN = 24
COLUMNS = ("task_id", "task_name", "status", "worker", "date_done", "result")
WIDTHS = (8, 26, 8, 20, 12, 36)


class Interrupted(DemoError):
    """The user has ended the demo."""


def run(worker: Child, is_stopped: Callable[[], bool]) -> None:
    """Do everything once and print it. Raises DemoError when something fails or takes too long."""
    since = timezone.now()
    wait = Waiting(worker, is_stopped)
    job = jobs.start_import(PEOPLE)
    shaky = jobs.ask_shaky_server()
    _follow(job, wait)
    _say_imported(job)
    export = jobs.start_export(SEARCH, None, 0)
    wait.for_task(export.task_id, "export")
    _say_exported(export)
    wait.for_task(shaky, "shaky task")
    _say_attempts(shaky)
    wait.until(lambda: _cleaned(since), "scheduled clean-up")
    print("clean-up  the scheduled task has run")
    _say_rows(since)


class Waiting:
    """Waits for what the worker does, as long as it lives and not for ever."""

    def __init__(self, worker: Child, is_stopped: Callable[[], bool]) -> None:
        self._worker = worker
        self._is_stopped = is_stopped
        self._deadline = time.monotonic() + LIMIT_SECONDS

    def until(self, is_done: Callable[[], bool], what: str) -> None:
        """Raises DemoError when the worker dies, the time is up, or the user ends the demo."""
        while not is_done():
            self._worker.check()
            if self._is_stopped():
                raise Interrupted("ended before everything was done")
            if time.monotonic() > self._deadline:
                raise DemoError(
                    f"the {what} did not end within {LIMIT_SECONDS} s\n{self._worker.last_lines()}"
                )
            time.sleep(0.1)

    def for_task(self, task_id: str, what: str) -> None:
        """Raises DemoError when the task fails."""
        self.until(lambda: _status(task_id) in states.READY_STATES, what)
        if _status(task_id) != states.SUCCESS:
            raise DemoError(f"the {what} ended as {_status(task_id)}\n{self._worker.last_lines()}")


def _status(task_id: str) -> str:
    return (
        TaskResult.objects.values_list("status", flat=True).filter(task_id=task_id).first() or states.PENDING
    )


def _cleaned(since: datetime) -> bool:
    rows = TaskResult.objects.filter(task_name="tasks.delete_old_exports", date_created__gte=since)
    return rows.filter(status=states.SUCCESS).exists()


# The import


def _follow(job: Import, wait: Waiting) -> None:
    shown: list[int] = [-1]

    def is_done() -> bool:
        job.refresh_from_db()
        now = progress.progress_of(job)
        _show_bar(now, shown)
        if now.state == "failed":
            raise DemoError(f"the import failed: {now.error}")
        return now.state == "finished"

    wait.until(is_done, "import")


def _show_bar(now: progress.Progress, shown: list[int]) -> None:
    """On a terminal one line that fills; in a file a line for each tenth."""
    if not now.job.total:
        return
    done, total = now.done, now.job.total
    filled = BAR_WIDTH * done // total
    line = f"import    {'█' * filled}{'░' * (BAR_WIDTH - filled)} {done:>7,} of {total:,}"
    if sys.stdout.isatty():
        print(f"\r{line}", end="\n" if now.state == "finished" else "", flush=True)
    elif 10 * done // total > shown[0]:
        shown[0] = 10 * done // total
        print(line, flush=True)


def _say_imported(job: Import) -> None:
    now = progress.progress_of(job)
    countries = Country.objects.filter(cities__gt=0).order_by("-cities")
    counted = sum(country.cities for country in countries)
    if not counted == City.objects.count() == job.total:
        raise DemoError(
            f"{job.total} cities to import, {counted} counted, {City.objects.count()} in the table"
        )
    print(f"imported  {counted:,} cities in {now.seconds:.1f} s ({now.per_second:,} a second)")
    most = " · ".join(f"{country.name} {country.cities:,}" for country in countries[:4])
    print(f"counted   {len(countries)} countries: {most} …", flush=True)


# The other tasks


def _say_exported(export: Export) -> None:
    export.refresh_from_db()
    place = os.path.relpath(export.path, settings.BASE_DIR.parent)
    print(f'exported  {export.rows:,} cities with "{SEARCH}" in their name: {place}', flush=True)


def _say_attempts(task_id: str) -> None:
    for attempt in Attempt.objects.filter(task_id=task_id).order_by("number"):
        print(f"shaky     {attempt}", flush=True)


def _say_rows(since: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select * from django_celery_results_taskresult order by id desc")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, values, strict=True)) for values in cursor.fetchmany(ROWS_SHOWN)]
    print("\nselect * from django_celery_results_taskresult")
    print(f"-- the last {len(rows)} of {TaskResult.objects.count():,}")
    _print_row(COLUMNS)
    for row in reversed(rows):
        _print_row([row[name] for name in COLUMNS])
    of_this_run = TaskResult.objects.filter(date_created__gte=since)
    counts: dict[str, int] = {}
    for status in of_this_run.values_list("status", flat=True):
        counts[status] = counts.get(status, 0) + 1
    listed = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"\nrows of this run: {listed}", flush=True)


def _print_row(cells: Any) -> None:
    short = [_short(cell, width) for cell, width in zip(cells, WIDTHS, strict=True)]
    print("  ".join(short).rstrip())


def _short(cell: Any, width: int) -> str:
    """An id by its first letters, a time without its day, a long text by its beginning."""
    text = f"{cell:%H:%M:%S.%f}" if isinstance(cell, datetime) else "" if cell is None else str(cell)
    if len(text) == 36 and text.count("-") == 4:
        return text[:width]
    return (
        f"{text[: width - 1]}…"
        if len(text) > width and not isinstance(cell, datetime)
        else f"{text[:width]:<{width}}"
    )
