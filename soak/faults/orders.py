"""F29: tasks revoked and a queue paused while no worker is up."""

import signal

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene

PAUSED = "paused"


class Orders(Fault):
    """Neither is forgotten by a restart."""

    row = "F29"
    title = "revoked while workers are down, and a paused queue"

    def strike(self, scene: Scene) -> None:
        """Publish, revoke and pause; then start workers, restart one, and let the queue go on."""
        half = scene.sizes.tasks // 2
        scene.produce(half)
        scene.wait_for_published()
        scene.ledger.look()
        open_numbers = set(scene.ledger.acknowledged)
        scene.forbidden = {number for number in open_numbers if scene.rng.random() < 1 / 3}
        scene.ask("revoke", task_ids=[scene.ledger.acknowledged[number] for number in scene.forbidden])
        scene.ask("pause", queue=PAUSED)
        scene.produce(half, options={"queue": PAUSED})
        scene.wait_for_published()
        queues = ("-Q", f"celery,{PAUSED}")
        scene.start("w0", *queues, is_awaited=True)
        restarted = scene.start("w1", *queues, is_awaited=True)
        self._wait_for(scene, (open_numbers - scene.forbidden), share=0.5)
        restarted.send(signal.SIGTERM)
        scene.wait_for(lambda: not restarted.is_alive, "w1 ends")
        scene.start("w1", *queues, is_awaited=True)
        self._wait_for(scene, (open_numbers - scene.forbidden), share=1.0)
        if ran := scene.ledger.runs.keys() - open_numbers:
            scene.complaints.append(f"{len(ran)} tasks of the paused queue ran")
        scene.ask("resume", queue=PAUSED)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """Each revoked task has ended as that."""
        revoked = scene.ask("results").get("REVOKED", 0)
        wanted = len(scene.forbidden)
        return [] if revoked == wanted else [f"{revoked} results are REVOKED, not {wanted}"]

    def _wait_for(self, scene: Scene, numbers: set[int], *, share: float) -> None:
        def have_run() -> bool:
            scene.ledger.look()
            return len(scene.ledger.ended & numbers) >= share * len(numbers)

        scene.wait_for(have_run, f"{share:.0%} of the tasks that may run")
