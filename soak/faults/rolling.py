"""F6: rolling restarts, as a deployment does them: SIGTERM, wait for the end, start again."""

import signal
import time
from contextlib import suppress

from benchmarks.limits import MeasurementFailed, wait_until
from soak.faults.base import Fault
from soak.scene import Scene
from soak.worker import Worker

#: Who has not ended by then is asked what it does: Celery answers SIGUSR1 with the stacks of its threads.
_PATIENCE_SECONDS = 10.0


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
            self._wait_for_the_end(scene, worker)
            slowest = max(slowest, time.monotonic() - begin)
            if worker.exit_code:
                scene.complaints.append(f"{worker.node} ended with {worker.exit_code}: {worker.log()[-800:]}")
            scene.start(worker.node)
        scene.figures["slowest stop, s"] = slowest
        if slowest > scene.sizes.longest_seconds + scene.sizes.stop_seconds:
            scene.complaints.append(f"a stop took {slowest:.1f} s")

    def _wait_for_the_end(self, scene: Scene, worker: Worker) -> None:
        def has_ended() -> bool:
            return not worker.is_alive

        with suppress(MeasurementFailed):
            wait_until(has_ended, "", limit_seconds=_PATIENCE_SECONDS)
        if has_ended():
            return
        worker.send(signal.SIGUSR1)
        scene.wait_for(has_ended, f"{worker.node} ends")
        scene.complaints.append(f"{worker.node} took long to end: {worker.log()[-8000:]}")
