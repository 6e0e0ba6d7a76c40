"""What is measured: a file for each kind, in the order in which a visit does them."""

from collections.abc import Callable

from benchmarks.measures import claim, drain, enqueue, idle, pickup
from benchmarks.visit import Figures, Visit

MEASURES: dict[str, Callable[[Visit], Figures]] = {
    "enqueue": enqueue.measure,
    "drain": drain.measure,
    "idle": idle.measure,
    "pickup": pickup.measure,
    "claim": claim.measure,
}
#: The worker of one serves the next.
WITH_WORKER = ("drain", "idle", "pickup")
#: What waits for its clock, or hardly changes: once a run, in its first round.
ONCE = ("idle", "pickup", "claim")
