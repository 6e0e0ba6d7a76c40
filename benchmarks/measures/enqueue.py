"""Enqueueing while no worker runs: one task after the other, and many by one call."""

from benchmarks.visit import Figures, Visit

WARM_UP = 4


def measure(visit: Visit) -> Figures:
    """Tasks per second, single and bulk."""
    visit.begin_anew()
    sizes, is_slow = visit.sizes, visit.contestant.is_slow
    single = sizes.single_slow if is_slow else sizes.single
    bulk = sizes.bulk if visit.contestant.has_bulk else single
    visit.driver.ask("single", first=visit.numbers(WARM_UP), count=WARM_UP)
    seconds_single = visit.driver.ask("single", first=visit.numbers(single), count=single)
    seconds_bulk = visit.driver.ask("bulk", first=visit.numbers(bulk), count=bulk)
    return {"enqueue single": [single / seconds_single], "enqueue bulk": [bulk / seconds_bulk]}
