"""F7: SIGQUIT to a worker with long tasks: it waits for a moment, then cuts them short."""

import signal

from soak.counts import Counts
from soak.faults.base import SLOTS, Fault
from soak.scene import Scene

SOFT_SECONDS = 1.0
LONGEST_SECONDS = 3.0
AGAIN_SECONDS = 5.0


class SoftShutdown(Fault):
    """What is cut short is given back with the last breath, and another worker runs it."""

    row = "F7"
    title = "soft shutdown (SIGQUIT) with long tasks"
    settings = {"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": SOFT_SECONDS}

    def strike(self, scene: Scene) -> None:
        """One worker after the other, each in the middle of its tasks."""
        stops = max(2, scene.sizes.blows // 2)
        scene.produce(stops * 6, longest=LONGEST_SECONDS)
        scene.start_two()
        for number in range(stops):
            worker = scene.workers[f"w{number % 2}"]
            scene.wait_for_ready(worker)
            self._wait_until_it_runs_something(scene, worker.children)
            scene.struck(worker.pid)
            worker.send(signal.SIGQUIT)
            scene.wait_for(lambda worker=worker: not worker.is_alive, f"{worker.node} ends")  # type: ignore[misc]  # mypy infers no default
            scene.start(worker.node)

    def most_duplicates(self, scene: Scene) -> int:
        """What was cut short."""
        return len(scene.blows) * SLOTS

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """What was cut short runs again soon."""
        latest = counts.recovered_max or 0
        return [f"ran again after {latest:.1f} s"] if latest > SOFT_SECONDS + AGAIN_SECONDS else []

    def _wait_until_it_runs_something(self, scene: Scene, children: list[int]) -> None:
        def runs() -> bool:
            scene.ledger.look()
            if len(scene.ledger.ended) == scene.ordered:
                return True  # The others were quicker.
            return any(
                start.process in children and (start.number, start.process) not in scene.ledger.ends
                for start in scene.ledger.starts
            )

        scene.wait_for(runs, "it runs a task")
