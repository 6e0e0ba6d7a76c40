"""How many processes or threads a worker's pool has, at least and at most."""

from typing import Any


def bounds(worker: Any, pool: str) -> tuple[int, int]:
    """The least and the most that the pool grows to; the same number twice without `--autoscale`."""
    if pool == "solo":
        return 1, 1
    if worker.autoscale:
        most, least = worker.autoscale
        return least, most
    return worker.concurrency or 0, worker.concurrency or 0
