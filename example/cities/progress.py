"""How far an import is, read from the rows of its tasks."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from cities.models import Import
from cities.tasks import PART

#: After this long without a worker the page says how to start one.
PATIENCE_SECONDS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk of the import, and how many of its cities are in."""

    status: str
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class Progress:
    """An import at this moment."""

    job: Import
    #: waiting, reading, running, counting, finished or failed.
    state: str
    parts: list[Part]
    seconds: float
    error: str = ""

    @property
    def done(self) -> int:
        return sum(part.done for part in self.parts)

    @property
    def per_second(self) -> int:
        return round(self.done / self.seconds) if self.seconds else 0

    @property
    def is_running(self) -> bool:
        return self.state not in {"finished", "failed"}

    @property
    def wants_worker(self) -> bool:
        return self.state == "waiting" and self.seconds > PATIENCE_SECONDS


def latest() -> Progress | None:
    """The progress of the newest import, if there is one."""
    job = Import.objects.order_by("-pk").first()
    return progress_of(job) if job else None


def progress_of(job: Import) -> Progress:
    """The progress of an import, with one query for all of its tasks."""
    ids = [job.task_id, *job.part_ids, job.count_id]
    rows = {row.task_id: row for row in TaskResult.objects.filter(task_id__in=ids)}
    parts = list(_parts(job, rows))
    ended = job.finished_at or timezone.now()
    seconds = (ended - job.started_at).total_seconds()
    failed = [row for row in rows.values() if row.status in {states.FAILURE, states.REVOKED}]
    if failed and not job.finished_at:
        return Progress(job, "failed", parts, seconds, _error(failed[0]))
    return Progress(job, _state(job, rows, parts), parts, seconds)


def _state(job: Import, rows: dict[str, TaskResult], parts: list[Part]) -> str:
    if job.finished_at:
        return "finished"
    if parts:
        return "counting" if all(part.status == states.SUCCESS for part in parts) else "running"
    row = rows.get(job.task_id)
    return "waiting" if row is None or row.status in {states.PENDING, states.RECEIVED} else "reading"


def _parts(job: Import, rows: dict[str, TaskResult]) -> Iterator[Part]:
    for position, task_id in enumerate(job.part_ids):
        size = min(PART, job.total - position * PART)
        row = rows.get(task_id)
        # The rows of an old import have expired; what it did is known.
        status = states.SUCCESS if job.finished_at else row.status if row else states.PENDING
        done = size if status == states.SUCCESS else _done(row)
        yield Part(status, done, size)


def _done(row: TaskResult | None) -> int:
    """What the task said with `update_state(state="PROGRESS", meta={"done": …})`."""
    if row is None or row.status != "PROGRESS":
        return 0
    return int(_decoded(row)["done"])


def _error(row: TaskResult) -> str:
    result = _decoded(row)
    if not isinstance(result, dict):
        return row.status
    message = result.get("exc_message") or ""
    text = " ".join(map(str, message)) if isinstance(message, list) else str(message)
    return f"{result.get('exc_type', row.status)}: {text}".rstrip(": ")


def _decoded(row: TaskResult) -> Any:
    return json.loads(row.result or "null")
