"""Draining a queue that was filled while no worker ran, the start of the worker, and what the tables grow by.

The time is from the end of the first task to the moment when the last result can be read, so that neither
the start of the worker counts, nor a result that is still on its way is left out.
"""

import time

from benchmarks.limits import MeasurementFailed
from benchmarks.visit import Figures, Visit


def measure(visit: Visit) -> Figures:
    """Tasks per second, seconds until the first task ran, bytes of the database for each finished task."""
    visit.begin_anew()
    count = visit.sizes.drain_slow if visit.contestant.is_slow else visit.sizes.drain
    before = visit.project.database.bytes_used()
    if visit.contestant.is_engine_alone:
        begin = visit.start_worker(count=count)
        visit.wait_for_stamps(count)
        end = None
    else:
        visit.driver.ask("bulk", first=visit.numbers(count), count=count)
        begin = visit.start_worker()
        visit.wait_for_stamps(count)
        end = _last_result(visit, count)
    moments = visit.project.stamps.moments().values()
    visit.rate = (count - 1) / ((end or max(moments)) - min(moments))
    figures = {"drain": [visit.rate], "start-up": [min(moments) - begin]}
    after = visit.project.database.bytes_used()
    if before is not None and after is not None and not visit.contestant.is_engine_alone:
        figures["growth"] = [(after - before) / count]
    return figures


def _last_result(visit: Visit, count: int) -> float:
    """When so many results could be read."""
    limit = visit.sizes.limit_seconds / 2
    begin = time.monotonic()
    moment = visit.driver.ask("stored", count=count, limit_seconds=limit)
    if moment is None:
        raise MeasurementFailed(
            f"not {count} results within {time.monotonic() - begin:.0f} s of the last task"
        )
    return float(moment)
