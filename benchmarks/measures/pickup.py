"""How soon a task runs after it was enqueued: by an idle worker, and by one at half of what it can do."""

from benchmarks.visit import Figures, Visit

#: Longer than any worker's second look after it was woken.
IDLE_GAP_SECONDS = 0.06
#: Where the drain was not measured.
UNKNOWN_RATE = 100.0
#: One process cannot enqueue one by one at half of the rate of the fastest.
MOST_PER_SECOND = 200.0


def measure(visit: Visit) -> Figures:
    """Milliseconds, a value for each task, and how many tasks a second the load was."""
    visit.worker_that_ran()
    idle = _waits(visit, visit.sizes.pickup, IDLE_GAP_SECONDS)
    per_second = min((visit.rate or UNKNOWN_RATE) / 2, MOST_PER_SECOND)
    loaded = _waits(visit, visit.sizes.load, 1 / per_second)
    return {"pick-up idle": idle, "pick-up loaded": loaded, "pick-up load": [per_second]}


def _waits(visit: Visit, count: int, gap_seconds: float) -> list[float]:
    first = visit.numbers(count)
    sent = visit.driver.ask("paced", first=first, count=count, gap_seconds=gap_seconds)
    visit.wait_for_stamps(first + count)
    ran = visit.project.stamps.moments()
    # A worker may be quicker than the return of the call that enqueued.
    return [max(0.0, 1000 * (ran[int(number)] - moment)) for number, moment in sent.items()]
