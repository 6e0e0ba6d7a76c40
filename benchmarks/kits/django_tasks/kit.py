"""Speaks for django-tasks-db and django-ox, which are backends of Django's own tasks."""

from collections.abc import Iterable

from django.apps import apps
from django.db import transaction
from tasks import add


def enqueue(number: int) -> None:
    """One task."""
    add.enqueue(number, 1)


def enqueue_many(numbers: Iterable[int]) -> None:
    """By django-ox's own call for many; otherwise one after the other in one transaction."""
    if apps.is_installed("django_ox"):
        from django_ox.bulk import enqueue_many as of_ox

        of_ox(add, [((number, 1), {}) for number in numbers])
        return
    with transaction.atomic():
        for number in numbers:
            add.enqueue(number, 1)


def stored() -> int:
    """How many results can be read."""
    if apps.is_installed("django_ox"):
        from django_ox.models import OxTask

        return int(OxTask.objects.filter(status="SUCCESSFUL").count())
    from django_tasks_db.models import DBTaskResult

    return int(DBTaskResult.objects.filter(status="SUCCESSFUL").count())
