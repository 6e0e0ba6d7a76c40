"""F6: rolling restarts, as a deployment does them: SIGTERM, wait for the end, start again."""

import signal
import time

from soak.faults.base import Fault
from soak.scene import Scene


class RollingRestart(Fault):
    """Nothing is lost and nothing runs twice: a warm shutdown gives back what has not begun."""

    row = "F6"
    title = "rolling restarts (SIGTERM)"

    def strike(self, scene: Scene) -> None:
        """One worker after the other, in turn, while the load lasts."""
        scene.produce(scene.sizes.tasks)
        scene.start_two()
        slowest = 0.0
        for number in range(scene.sizes.blows):
            scene.wait_for_runs((number + scene.rng.random()) / (scene.sizes.blows + 1))
            worker = scene.workers[f"w{number % 2}"]
            scene.wait_for_ready(worker)
            begin = time.monotonic()
            worker.send(signal.SIGTERM)
            scene.wait_for(lambda worker=worker: not worker.is_alive, f"{worker.node} ends")  # type: ignore[misc]  # mypy infers no default
            slowest = max(slowest, time.monotonic() - begin)
            if worker.exit_code:
                scene.complaints.append(f"{worker.node} ended with {worker.exit_code}: {worker.log()[-800:]}")
            scene.start(worker.node)
        scene.figures["slowest stop, s"] = slowest
        if slowest > scene.sizes.longest_seconds + scene.sizes.stop_seconds:
            scene.complaints.append(f"a stop took {slowest:.1f} s")
