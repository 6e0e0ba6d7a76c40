"""F9: the database server crashes under its workers, and is down for seconds."""

import time

from soak.counts import Counts
from soak.faults.base import ALL_SLOTS, Fault
from soak.scene import Scene

DOWN_SECONDS, BACK_SECONDS = 5.0, 5.0


class ServerCrashed(Fault):
    """Of a server that was started for this row alone."""

    row = "F9"
    title = "the database server crashes, and is down for 5 s"
    crashes_server = True

    def strike(self, scene: Scene) -> None:
        """Half as often as others, while workers take what was published before."""
        scene.produce(scene.sizes.tasks)
        scene.wait_for_published()
        scene.start_two()
        processes = _processes(scene)
        crashes = max(2, scene.sizes.blows // 2)
        latest = 0.0
        for number in range(crashes):
            scene.wait_for_runs((number + scene.rng.random()) / (crashes + 1))
            latest = max(latest, self._crash(scene))
        scene.figures["resumed after, s"] = round(latest, 2)
        if latest > BACK_SECONDS:
            scene.complaints.append(f"work went on {latest:.1f} s after the server was there again")
        if processes != _processes(scene):
            scene.complaints.append("a process of a worker has ended")

    def most_duplicates(self, scene: Scene) -> int:
        """What ran at a crash."""
        return len(scene.blows) * ALL_SLOTS

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """Nobody is told to start a worker again."""
        ended = [worker.node for worker in scene.workers.values() if not worker.is_alive]
        return [f"{node} ended" for node in ended]

    def _crash(self, scene: Scene) -> float:
        """How long after its return the next task began."""
        server = scene.project.server
        scene.struck(server.pid)
        server.crash()
        back_at = time.monotonic() + DOWN_SECONDS
        scene.wait_for(lambda: time.monotonic() > back_at, "it was down for a while")
        server.start()
        scene.ledger.look()
        begun, up_at = len(scene.ledger.starts), time.monotonic()

        def goes_on() -> bool:
            scene.ledger.look()
            return len(scene.ledger.starts) > begun

        scene.wait_for(goes_on, "work goes on")
        return time.monotonic() - up_at


def _processes(scene: Scene) -> set[int]:
    return {process for each in scene.workers.values() for process in (each.pid, *each.children)}
