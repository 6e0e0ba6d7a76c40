"""F7: SIGQUIT to a worker with long tasks: it waits for a moment, then cuts them short."""

import signal

from soak.counts import Counts
from soak.faults.base import SLOTS, Fault
from soak.scene import Scene
from soak.worker import Worker

SOFT_SECONDS = 1.0
LONGEST_SECONDS = 5.0
AGAIN_SECONDS = 5.0


class SoftShutdown(Fault):
    """What is cut short is given back with the last breath, and another worker runs it."""

    row = "F7"
    title = "soft shutdown (SIGQUIT) with long tasks"
    settings = {"CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": SOFT_SECONDS}

    def strike(self, scene: Scene) -> None:
        """Whichever runs something; the others have room for what it is cut short in."""
        scene.start_two()
        for _ in range(max(2, scene.sizes.blows // 2)):
            scene.produce(SLOTS, longest=LONGEST_SECONDS)
            worker = self._busy(scene)
            scene.struck(worker.pid)
            worker.send(signal.SIGQUIT)
            scene.wait_for(lambda worker=worker: not worker.is_alive, f"{worker.node} ends")  # type: ignore[misc]  # mypy infers no default
            scene.wait_for_ready(scene.start(worker.node))
            scene.wait_for_published()
            scene.wait_for_runs(1.0)

    def most_duplicates(self, scene: Scene) -> int:
        """What was cut short."""
        return len(scene.blows) * SLOTS

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """What was cut short runs again soon."""
        latest = counts.recovered_max or 0
        return [f"ran again after {latest:.1f} s"] if latest > SOFT_SECONDS + AGAIN_SECONDS else []

    def _busy(self, scene: Scene) -> Worker:
        """A worker that runs a task, once there is one."""
        found: list[Worker] = []

        def one_runs() -> bool:
            scene.ledger.look()
            running = {
                start.parent
                for start in scene.ledger.starts
                if (start.number, start.process) not in scene.ledger.ends
            }
            found.extend(worker for worker in scene.workers.values() if worker.pid in running)
            return bool(found)

        scene.wait_for(one_runs, "a worker runs a task")
        return found[0]
