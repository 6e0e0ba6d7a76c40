"""F3: `kill -9` of a process of the pool, as the kernel does when memory is short."""

import os
import signal

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene

#: As many as 50 for 20 kills of a worker.
FACTOR = 2.5


class ChildKilled(Fault):
    """Its worker must go on, and begin another process."""

    row = "F3"
    title = "a process of the pool is killed"

    def strike(self, scene: Scene) -> None:
        """A child of a random worker, at a random moment of each part of the load."""
        scene.produce(scene.sizes.tasks)
        workers = scene.start_two()
        kills = round(scene.sizes.blows * FACTOR)
        for number in range(kills):
            scene.wait_for_runs((number + scene.rng.random()) / (kills + 1))
            worker = scene.rng.choice(workers)
            scene.wait_for(lambda worker=worker: bool(worker.children), "the pool has processes")  # type: ignore[misc]  # mypy infers no default
            child = scene.rng.choice(worker.children)
            scene.struck(child)
            os.kill(child, signal.SIGKILL)

    def most_duplicates(self, scene: Scene) -> int:
        """What ran in the process that was killed."""
        return len(scene.blows)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """No worker ends with its child."""
        return [f"{worker.node} ended" for worker in scene.workers.values() if not worker.is_alive]
