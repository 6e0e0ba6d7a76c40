"""One run of one row on one system, and what came of it."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.limits import MeasurementFailed
from soak.counts import Counts, count
from soak.faults.base import Fault, complaints
from soak.project import Project
from soak.scene import Scene
from soak.sizes import Sizes


@dataclass(slots=True)
class Outcome:
    """Of one run of one row."""

    row: str
    title: str
    side: str
    is_ours: bool
    seed: int
    #: When it ended.
    date: str
    seconds: float
    blows: int
    counts: Counts
    figures: dict[str, float] = field(default_factory=dict)
    #: Of the records that it is in: the place of its run, which has the machine.
    run: int = 0
    #: What breaks the promise; of a peer, what it does not promise.
    complaints: list[str] = field(default_factory=list)

    @property
    def beside(self) -> str:
        """What the row found out beside the counts, in words."""
        return ", ".join(f"{what} {value:g}" for what, value in self.figures.items())


def perform(project: Project, fault: Fault, sizes: Sizes, seed: int) -> Outcome:
    """Do it. What hangs is a complaint with what the processes said; it is not raised."""
    begin = time.monotonic()
    scene = Scene(project, sizes, seed, fault.settings)
    stuck = 0
    try:
        fault.strike(scene)
        stuck = scene.settle()
    except MeasurementFailed as error:
        scene.complaints.append(str(error))
    try:
        counts = count(
            scene.ledger, scene.blows, forbidden=scene.forbidden, hopeless=scene.hopeless, stuck=stuck
        )
        found = complaints(fault, scene, counts)
    finally:
        scene.end()
    if found and project.side.is_ours:
        found.append(scene.said())
    return Outcome(
        row=fault.row,
        title=fault.title,
        side=project.side.name,
        is_ours=project.side.is_ours,
        seed=seed,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=round(time.monotonic() - begin, 1),
        blows=len(scene.blows),
        counts=counts,
        figures=scene.figures,
        complaints=found,
    )
