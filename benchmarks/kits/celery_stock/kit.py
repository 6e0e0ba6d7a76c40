"""Speaks for Celery without Celeriac."""

from collections.abc import Iterable

from proj.celery import app
from tasks import add

SCANNED_AT_ONCE = 1000


def enqueue(number: int) -> None:
    """One task."""
    add.delay(number, 1)


def enqueue_many(numbers: Iterable[int]) -> None:
    """One after the other over one producer: Celery has no call for many."""
    with app.producer_pool.acquire(block=True) as producer:
        for number in numbers:
            add.apply_async((number, 1), producer=producer)


def stored() -> int:
    """How many results can be read."""
    if app.conf.result_backend == "django-db":
        from django_celery_results.models import TaskResult

        return TaskResult.objects.filter(status="SUCCESS").count()
    return sum(1 for _ in app.backend.client.scan_iter("celery-task-meta-*", count=SCANNED_AT_ONCE))
