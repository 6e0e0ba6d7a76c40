"""F5: a worker stands still for longer than it may be silent, and comes back when others do its work."""

import math
import signal
import time

from soak.counts import Counts
from soak.faults.base import SLOTS, Fault
from soak.scene import Scene

LOST_AFTER_SECONDS = 4.0
_TRIES = 3
#: What ended so short a time before may not be in the database yet: results and acks are written together,
#: and another host cannot read where they are noted meanwhile.
_UNTOLD_SECONDS = 0.1
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
        # One that stands still within its transaction on SQLite stops everybody, and nobody can tell.
        for _ in range(_TRIES):
            scene.struck(stopped.pid)
            stopped.send_to_group(signal.SIGSTOP)
            self._wait(scene)
            stopped.send_to_group(signal.SIGCONT)
            if self._was_held_for_lost(scene) or not scene.project.side.is_ours:
                break
        if scene.project.side.is_ours and not scene.project.side.needs[1:]:
            scene.wait_for(lambda: HELD_FOR_LOST in stopped.log(), "the stopped worker learns of its loss")

    def _wait(self, scene: Scene) -> None:
        """Until the others have done everything; not for longer than a worker needs to be held for lost."""
        end = time.monotonic() + 2.5 * LOST_AFTER_SECONDS
        while time.monotonic() < end and len(scene.ledger.ended) < scene.ordered:
            scene.ledger.look()
            time.sleep(0.05)

    def _was_held_for_lost(self, scene: Scene) -> bool:
        return any("is lost" in worker.log() for worker in scene.workers.values())

    def most_duplicates(self, scene: Scene) -> int:
        """What it ran, what it had just ended, and what a process began before all of it stood still."""
        blow = scene.blows[-1]
        in_hand = {
            start.number
            for start in scene.ledger.starts
            if start.parent == blow.process
            and start.moment < blow.moment
            and scene.ledger.ends.get((start.number, start.process), math.inf) > blow.moment - _UNTOLD_SECONDS
        }
        return len(in_hand) + SLOTS

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """It was given up by the other one."""
        side = scene.project.side
        if side.is_ours and not side.needs[1:] and not self._was_held_for_lost(scene):
            return ["the stopped worker was not held for lost: nothing was tried"]
        return []
