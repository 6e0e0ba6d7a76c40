"""Speaks for django-tasks-db."""

import random
from collections.abc import Sequence

from django.db.models import Count
from tasks import newcomer, poison, work


def single(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A task by itself."""
    return [str(work.enqueue(numbers[0], seconds[0]).id)]


def mixed(numbers: Sequence[int], seconds: Sequence[float], rng: random.Random, every: int) -> list[str]:
    """A task by itself; each so manieth ends whoever runs it."""
    if numbers[0] % every:
        return single(numbers, seconds, rng)
    return [str(poison.enqueue(numbers[0], rng.choice(("exit", "segfault"))).id)]


def new_one(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A task that the old release does not know."""
    return [str(newcomer.enqueue(numbers[0], seconds[0]).id)]


def left() -> dict[str, int]:
    """Tasks that have not ended, by their state."""
    return {f"tasks {state}": count for state, count in results().items() if state in {"READY", "RUNNING"}}


def results() -> dict[str, int]:
    """How many tasks have each state."""
    from django_tasks_db.models import DBTaskResult

    return dict(DBTaskResult.objects.values_list("status").annotate(count=Count("id")))


def regressed() -> int:
    """Not asked."""
    return 0


def dead_letters() -> list[str]:
    """There are none."""
    return []
