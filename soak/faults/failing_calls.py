"""F14: the n-th call of a worker to its database fails, for every n."""

import json
import time
from collections.abc import Iterator
from typing import Any

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene
from soak.sizes import LONG
from soak.worker import Worker

#: Every one of them in the long form; in the others so many for each round, by chance.
MOST, OF_A_ROUND = 200, 5
#: The call is not done, or it is done and nobody hears of it; in the long form both.
KINDS = ("lost", "then lost")
#: One load of single tasks and one of chords, whose parts are stored by the processes of the pool.
LOADS: tuple[dict[str, Any], ...] = ({"kind": "single"}, {"kind": "parts_and_body", "size": 4})
NUMBERS, GAP_SECONDS, LONGEST_SECONDS = 100, 0.01, 0.005
#: From the fault to the end of all that was acknowledged by then.
MOST_SECONDS = 30.0


class FailingCalls(Fault):
    """One worker that nobody helps: it goes on after each fault with all it had, and runs nothing twice."""

    row = "F14"
    title = "the n-th call to the database fails"
    is_for_databases_alone = True

    def strike(self, scene: Scene) -> None:
        """Let a call fail, and wait until all that was there then is done, again and again under load."""
        worker = scene.start("w0", environment={"SOAK_FAILING": "1"}, is_awaited=True)
        load, slowest = self._load(scene), 0.0
        for nth in self._numbers(scene):
            for kind in KINDS if scene.sizes is LONG else scene.rng.sample(KINDS, 1):
                slowest = max(slowest, self._deal(scene, worker, load, nth, kind))
        self._plan(scene, None)
        scene.figures["calls_failed"] = len(self._told(scene))
        scene.figures["slowest_seconds"] = round(slowest, 1)
        if not worker.is_alive:
            scene.complaints.append(f"the worker has ended with {worker.exit_code}")

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """No fault may stop it for long."""
        slowest = scene.figures.get("slowest_seconds", 0.0)
        return [f"after a fault it took {slowest:.1f} s"] if slowest > MOST_SECONDS else []

    def _numbers(self, scene: Scene) -> list[int]:
        count = MOST if scene.sizes is LONG else OF_A_ROUND * scene.sizes.rounds
        return sorted(scene.rng.sample(range(1, MOST + 1), count))

    def _load(self, scene: Scene) -> Iterator[None]:
        """Each step sees to it that somebody publishes."""
        while True:
            for load in LOADS:
                units = NUMBERS // load.get("size", 1)
                producer = scene.produce(units, gap=GAP_SECONDS, longest=LONGEST_SECONDS, **load)
                while producer.is_alive:
                    yield

    def _deal(self, scene: Scene, worker: Worker, load: Iterator[None], nth: int, kind: str) -> float:
        """Seconds until all that was acknowledged at the fault was done."""
        before = len(self._told(scene))
        self._plan(scene, {"kind": kind, "nth": nth})

        def is_dealt() -> bool:
            next(load)
            # Each process of the pool counts its own calls, and may have been first.
            return any(line.split()[1] == str(worker.pid) for line in self._told(scene)[before:])

        scene.wait_for(is_dealt, f"call {nth} fails")
        scene.struck(worker.pid)
        began = time.monotonic()
        scene.ledger.look()
        there = set(scene.ledger.acknowledged)

        def is_over() -> bool:
            scene.ledger.look()
            return there <= scene.ledger.ended or not worker.is_alive

        scene.wait_for(is_over, f"the worker goes on although call {nth} failed ({kind})")
        return time.monotonic() - began

    def _plan(self, scene: Scene, faults: dict[str, object] | None) -> None:
        directory = scene.project.directory / "ledger"
        unready = directory / "faults.new"
        unready.write_text(json.dumps({"worker": faults} if faults else {}))
        unready.rename(directory / "faults.json")

    def _told(self, scene: Scene) -> list[str]:
        file = scene.project.directory / "ledger" / "faults.log"
        return file.read_text().splitlines() if file.exists() else []
