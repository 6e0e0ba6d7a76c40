"""F8 and F24: processes that kill themselves at named points, so that every gap between two steps is tried.

F8 has four parts: publishing, claiming and starting, reaping, chords. F24 is the gap between result and ack.
"""

from functools import partial
from typing import ClassVar

from soak import points
from soak.counts import Counts
from soak.faults.base import SLOTS, Fault
from soak.points import Point
from soak.scene import Scene

#: Of a point there are so many calls of which one is the last, by chance.
MOST_HITS = 3
#: Tasks published while a worker is on its way to its point, and the time between two of them.
TASKS, GAP_SECONDS = 40, 0.01
#: Nobody is at fault but us that a task is delivered again and again: it stands first in every doomed worker.
OFTEN = {"CELERIAC": {"MAX_DELIVERIES": 10_000}}


class AtPoints(Fault):
    """Two doomed workers at a time, each with a point of its own; two that live finish the rest."""

    points: ClassVar[tuple[Point, ...]]
    settings = OFTEN
    is_for_databases_alone = True
    most_seconds = 60.0  # A doomed worker may run nothing before it dies: then the next one starts first.
    p95_seconds = 60.0

    def strike(self, scene: Scene) -> None:
        """Go through the points, as often as the size says."""
        order = [point for _ in range(scene.sizes.rounds) for point in self.points]
        scene.rng.shuffle(order)
        for start in range(0, len(order), 2):
            self.load(scene)
            self._doom(scene, order[start : start + 2])
            scene.ask("regressed")
        scene.start_two()

    def load(self, scene: Scene) -> None:
        """Enough that both come to their points, as a rule."""
        scene.produce(TASKS, gap=GAP_SECONDS)

    def _doom(self, scene: Scene, pair: list[Point]) -> None:
        for node, point in zip(("w0", "w1"), pair, strict=False):
            scene.start(node, environment=scene.die_at(point, most_hits=MOST_HITS))
        for node, point in zip(("w0", "w1"), pair, strict=False):
            process = scene.wait_for_death(point, load=partial(self.load, scene))
            worker = scene.workers[node]
            if process == worker.pid:
                scene.wait_for(lambda worker=worker: not worker.is_alive, f"{node} is dead")  # type: ignore[misc]  # mypy infers no default
            else:
                scene.kill(worker)

    def most_duplicates(self, scene: Scene) -> int:
        """What ran in a worker that died; a process of the pool ran one."""
        return len(scene.blows) * SLOTS


class AtWork(AtPoints):
    """Between claim and start, and in the process that runs the task."""

    row = "F8 work"
    title = "killed at each point of claim and start"
    points = (*points.CLAIM, *points.START)


class AtFlush(AtPoints):
    """A result is stored before its message is acknowledged, or with it; and SUCCESS stays."""

    row = "F24"
    title = "killed at each point between result, flush and ack"
    points = (*points.ACK, *points.FLUSH)


class AtChord(AtPoints):
    """Between the last part's end and the body's message."""

    row = "F8 chord"
    title = "killed at each point of a chord's end"
    points = points.CHORD

    def load(self, scene: Scene) -> None:
        """Chords of few parts: their ends are what counts."""
        scene.produce(10, kind="parts_and_body", size=4, gap=GAP_SECONDS)


class AtReap(AtPoints):
    """A worker is killed, and whoever finds that is killed at it."""

    row = "F8 reap"
    title = "killed at each point of another worker's recovery"
    points = points.REAP

    def strike(self, scene: Scene) -> None:
        """The victim first: it must hold something. A third one, whom nobody kills, has what both held.

        Were all of them killed, each at the first death that it finds, the others would wait for the end.
        """
        for point in self.points * scene.sizes.rounds:
            self.load(scene)
            scene.start("victim", is_awaited=True)
            scene.start("reaper", environment=scene.die_at(point))
            begun = len(scene.ledger.starts)

            def runs(begun: int = begun) -> bool:
                scene.ledger.look()
                return len(scene.ledger.starts) > begun

            scene.wait_for(runs, "the victim runs tasks")
            scene.kill(scene.workers["victim"])
            scene.wait_for_death(point)
            heir = scene.start("heir")
            scene.wait_for(scene.is_idle, "the heir has run all")
            scene.stop(heir)
        scene.start_two()


class AtPublish(Fault):
    """What was acknowledged is there; what was not may be."""

    row = "F8 publish"
    title = "killed at each point of a publish"
    settings = OFTEN
    is_for_databases_alone = True

    def strike(self, scene: Scene) -> None:
        """One producer after the other dies; two workers run what is there."""
        scene.start_two()
        for point in points.PUBLISH * scene.sizes.rounds:
            scene.produce(TASKS, environment=scene.die_at(point, most_hits=TASKS // 2))
            scene.wait_for_death(point)
            scene.wait_for_published()

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """One task at the most is in doubt with each death."""
        doubtful = len(scene.ledger.attempted) - len(scene.ledger.acknowledged)
        return [] if doubtful <= len(scene.blows) else [f"{doubtful} were attempted and not acknowledged"]
