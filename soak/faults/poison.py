"""F19: tasks that end whoever runs them, one among a hundred."""

import time
from typing import Any

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene

DELIVERIES = 5
#: Of so many tasks one is poison.
EVERY = 100
AGAIN = "workers started again"


class Poison(Fault):
    """Each runs so many times, and the others go on beside it."""

    row = "F19"
    title = "1 % of the tasks end the process that runs them"
    settings = {"CELERIAC": {"MAX_DELIVERIES": DELIVERIES}}
    peers = frozenset({"celery-redis", "django-tasks-db"})

    def strike(self, scene: Scene) -> None:
        """Half of the load without poison, then half with it; each waits before there is a worker."""
        alone = self._tasks_per_second(scene)
        for worker in scene.workers.values():
            scene.stop(worker)
        beside = self._tasks_per_second(scene, kind="mixed", options={"every": EVERY})
        # A process that ends costs the time to start another, in which its place runs nothing.
        scene.figures["tasks/s without poison"] = round(alone, 1)
        scene.figures["of the others beside it"] = round(beside, 1)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """Each was given up with its last delivery, and its task is a FAILURE."""
        runs = scene.ledger.runs
        times = [runs[number] for number in sorted(scene.hopeless)]
        scene.figures["runs of each poison, least"] = min(times, default=0)
        scene.figures["most"] = max(times, default=0)
        if not scene.project.side.is_ours:
            return []
        letters = {each.partition(":")[0] for each in scene.ask("dead_letters")}
        buried = sum(scene.ledger.acknowledged[number] in letters for number in scene.hopeless)
        found = [] if set(times) == {DELIVERIES} else [f"poison ran {times} times"]
        found += [] if buried == len(scene.hopeless) else [f"{buried} dead letters of {len(scene.hopeless)}"]
        return found + self._of_the_others(scene)

    def _of_the_others(self, scene: Scene) -> list[str]:
        found = [f"{worker.node} ended" for worker in scene.workers.values() if not worker.is_alive]
        if AGAIN in scene.figures:
            found.append(f"{AGAIN}: {scene.figures[AGAIN]:.0f}")
        return found

    def _tasks_per_second(self, scene: Scene, **order: Any) -> float:
        """Of those that can run to their end."""
        scene.ledger.look()
        first = scene.ledger.next_number
        scene.produce(scene.sizes.tasks // 2, **order)
        scene.wait_for_published()
        scene.ledger.look()
        wanted = {number for number in scene.ledger.acknowledged if number >= first}
        if order:
            scene.hopeless = {number for number in wanted if number % EVERY == 0}
            wanted -= scene.hopeless
        scene.start_two()
        self._wait_for(scene, wanted)
        begin = min((each.moment for each in scene.ledger.starts if each.number in wanted), default=0.0)
        end = max((end for (number, _), end in scene.ledger.ends.items() if number in wanted), default=1.0)
        return len(wanted & scene.ledger.ended) / max(0.001, end - begin)

    def _wait_for(self, scene: Scene, wanted: set[int]) -> None:
        """Until they have run, or nothing runs any more; workers that end are started again meanwhile."""
        quiet = scene.sizes.settle_seconds + scene.project.side.slack_seconds
        begun, moved_at = 0, time.monotonic()
        while not wanted <= scene.ledger.ended and time.monotonic() - moved_at < quiet:
            scene.ledger.look()
            if len(scene.ledger.starts) > begun:
                begun, moved_at = len(scene.ledger.starts), time.monotonic()
            for worker in [each for each in scene.workers.values() if not each.is_alive]:
                scene.start(worker.node)
                scene.figures[AGAIN] = scene.figures.get(AGAIN, 0) + 1
            time.sleep(0.02)
