"""Speaks for django-q2."""

from collections.abc import Iterable

from django.db import transaction
from django_q.models import Success
from django_q.tasks import async_task


def enqueue(number: int) -> None:
    """One task."""
    async_task("tasks.add", number, 1)


def enqueue_many(numbers: Iterable[int]) -> None:
    """One after the other in one transaction: django-q2 has no call for many."""
    with transaction.atomic():
        for number in numbers:
            async_task("tasks.add", number, 1)


def stored() -> int:
    """How many results can be read."""
    return int(Success.objects.count())
