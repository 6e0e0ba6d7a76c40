"""A worker that has nothing to do: its share of a core, and its memory with that of its children."""

import time

from benchmarks import processes
from benchmarks.visit import Figures, Visit

#: After the last task, until what follows it is written too.
SETTLE_SECONDS = 1.0


def measure(visit: Visit) -> Figures:
    """Per cent of a core, and megabytes as PSS and as RSS; nothing where the system does not tell."""
    visit.worker_that_ran()
    time.sleep(min(SETTLE_SECONDS, visit.sizes.idle_seconds))
    before = processes.cpu_seconds(visit.project.processes)
    time.sleep(visit.sizes.idle_seconds)
    after = processes.cpu_seconds(visit.project.processes)
    memory = processes.memory(visit.project.processes)
    if before is None or after is None or memory is None:
        return {}
    return {
        "idle share": [100 * (after - before) / visit.sizes.idle_seconds],
        "memory PSS": [memory.pss / 1e6],
        "memory RSS": [memory.rss / 1e6],
    }
