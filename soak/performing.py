"""One run of one row on one system, and what came of it."""

import time
from dataclasses import dataclass, field

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
    seed: int
    seconds: float
    blows: int
    counts: Counts
    figures: dict[str, float] = field(default_factory=dict)
    #: What breaks the promise; of a peer, what it does not promise.
    complaints: list[str] = field(default_factory=list)


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
        fault.row,
        fault.title,
        project.side.name,
        seed,
        round(time.monotonic() - begin, 1),
        len(scene.blows),
        counts,
        scene.figures,
        found,
    )
