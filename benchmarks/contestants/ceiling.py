"""Celery's own ceiling: messages in the memory of the one process, no results."""

from benchmarks.contestants.base import Contestant, Pool


def _pool(name: str) -> Pool:
    return Pool(name, ("ceiling.py", name, "{count}"))


CONTESTANTS = (
    Contestant(
        name="celery-ceiling",
        title="Celery's ceiling (in memory, no results)",
        kit="ceiling",
        module="celery",
        needs=("sqlite",),
        pools=(_pool("prefork"), _pool("threads"), _pool("solo")),
        is_engine_alone=True,
        measures=frozenset({"drain"}),
    ),
)
