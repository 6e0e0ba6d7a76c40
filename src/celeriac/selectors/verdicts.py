"""How things stand, in a word: what is wrong with queues and workers now, and how bad that is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from celeriac.conf import options
from celeriac.selectors.queues import QueueState
from celeriac.selectors.readable import in_words
from celeriac.selectors.workers import WorkerState

WARNING, CRITICAL = "warning", "critical"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in a sentence."""

    level: str
    text: str


def problems(queues: Iterable[QueueState], workers: Iterable[WorkerState]) -> list[Problem]:
    """The worst first. Critical: tasks wait that nobody will take. Dead letters are the past."""
    workers = list(workers)
    found = [*_of_queues(queues, workers), *_of_workers(workers)]
    return sorted(found, key=lambda each: each.level != CRITICAL)


def _of_queues(queues: Iterable[QueueState], workers: list[WorkerState]) -> Iterator[Problem]:
    read = {name for worker in workers if worker.is_alive for name in worker.queues}
    limit = options().waiting_limit_seconds
    for queue in queues:
        if not queue.waiting:
            continue
        oldest = queue.oldest_waiting_seconds or 0.0
        if queue.is_paused:
            yield Problem(WARNING, f"queue {queue.name!r} is paused, and {_waiting(queue.waiting)} in it")
        elif read and queue.name not in read:
            waiting = _waiting(queue.waiting)
            yield Problem(CRITICAL, f"queue {queue.name!r}: {waiting}, and no worker reads it")
        elif oldest > limit:
            waited = f"oldest task has waited {in_words(oldest)} (limit {in_words(limit)})"
            yield Problem(WARNING, f"queue {queue.name!r}: {waited}")


def _waiting(count: int) -> str:
    return "1 task waits" if count == 1 else f"{count:,} tasks wait"


def _of_workers(workers: list[WorkerState]) -> Iterator[Problem]:
    for worker in workers:
        age = worker.heartbeat_age_seconds
        if worker.is_alive and age is not None and age > 3 * options().heartbeat_seconds:
            yield Problem(WARNING, f"worker {worker.node} has given no sign of life for {in_words(age)}")
