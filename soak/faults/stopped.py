"""F5: a worker stands still for longer than it may be silent, and comes back when others do its work."""

import signal
import time

from soak.counts import Counts
from soak.faults.base import SLOTS, Fault
from soak.scene import Scene

LOST_AFTER_SECONDS = 4.0
HELD_FOR_LOST = "This worker was held for lost"


class Stopped(Fault):
    """The other worker takes itself for one of another host: on one host a held lock proves life."""

    row = "F5"
    title = "a worker is stopped (SIGSTOP) for longer than its lease, and goes on"
    settings = {"CELERIAC": {"HEARTBEAT_SECONDS": 0.5, "LOST_AFTER_SECONDS": LOST_AFTER_SECONDS}}
    peers = frozenset({"celery-redis", "django-tasks-db"})
    #: The time without a sign of life belongs to it.
    p95_seconds = most_seconds = 35.0

    def strike(self, scene: Scene) -> None:
        """Stop it in the middle of the load until the other one has done what it held."""
        scene.produce(scene.sizes.tasks)
        stopped = scene.start("w0", is_awaited=True)
        # Before the other one comes: the stopped one holds messages for certain.
        scene.wait_for_runs(0.1)
        scene.start("w1", is_awaited=True, environment={"SOAK_HOST": "another"})
        scene.wait_for_runs(0.2 + scene.rng.random() / 5)
        scene.struck(stopped.pid)
        stopped.send_to_group(signal.SIGSTOP)
        end = time.monotonic() + 2.5 * LOST_AFTER_SECONDS
        while time.monotonic() < end and len(scene.ledger.ended) < scene.ordered:
            scene.ledger.look()
            time.sleep(0.05)
        stopped.send_to_group(signal.SIGCONT)
        if scene.project.side.is_ours and not scene.project.side.needs[1:]:
            scene.wait_for(lambda: HELD_FOR_LOST in stopped.log(), "the stopped worker learns of its loss")

    def most_duplicates(self, scene: Scene) -> int:
        """What it ran, and what its processes had been handed and began before all of it stood still."""
        return 2 * SLOTS

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """It was given up by the other one."""
        side = scene.project.side
        if (
            side.is_ours
            and not side.needs[1:]
            and not any("is lost" in w.log() for w in scene.workers.values())
        ):
            return ["the stopped worker was not held for lost: nothing was tried"]
        return []
