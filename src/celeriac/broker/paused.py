"""Queues that no worker takes messages from until they are resumed; `alias` is the results' database."""

from collections.abc import Iterable

from celeriac.models import PausedQueue


def pause(alias: str, names: Iterable[str]) -> None:
    """Write them in the caller's transaction, if there is one; one that is paused already stays so."""
    rows = [PausedQueue(name=name) for name in names]
    PausedQueue.objects.using(alias).bulk_create(rows, ignore_conflicts=True)


def resume(alias: str, names: Iterable[str]) -> None:
    """Delete them in the caller's transaction, if there is one."""
    PausedQueue.objects.using(alias).filter(name__in=list(names)).delete()


def names(alias: str) -> list[str]:
    """The queues that are paused, in order."""
    return list(PausedQueue.objects.using(alias).order_by("name").values_list("name", flat=True))
