"""Who takes part: a file for each kind."""

from benchmarks.contestants import (
    ceiling,
    celeriac,
    celery_stock,
    django_q,
    django_tasks,
    huey,
    procrastinate,
)
from benchmarks.contestants.base import Contestant, Pool

ALL: tuple[Contestant, ...] = (
    *celeriac.CONTESTANTS,
    *celery_stock.CONTESTANTS,
    *huey.CONTESTANTS,
    *django_tasks.CONTESTANTS,
    *procrastinate.CONTESTANTS,
    *django_q.CONTESTANTS,
    *ceiling.CONTESTANTS,
)

__all__ = ("ALL", "Contestant", "Pool")
