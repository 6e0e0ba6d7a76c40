"""F21: a rolling deploy, in which workers of the old release meet a task that only the new one has."""

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene

#: On a database, where a worker that does not know a task leaves it to others.
MOST_RETURNS = 3
#: Of the load of other rows; those of the new task alone count.
SHARE = 1 / 10
OLD = {"SOAK_RELEASE": "old"}


class RollingDeploy(Fault):
    """What the old workers cannot run waits for the new ones."""

    row = "F21"
    title = "a rolling deploy: old workers do not know the task"
    peers = frozenset({"celery-redis", "django-tasks-db"})

    def strike(self, scene: Scene) -> None:
        """One half is published before a new worker is there, the other beside it; then the old one goes."""
        half = round(scene.sizes.tasks * SHARE / 2)
        old = scene.start("w0", is_awaited=True, environment=OLD)
        scene.produce(half, kind="new_one")
        scene.wait_for_published()
        if scene.project.side.is_ours:
            self._wait_for_returns(scene)
        scene.start("w1", is_awaited=True)
        scene.produce(half, kind="new_one")
        scene.wait_for_published()
        if scene.project.side.is_ours:
            scene.wait_for_runs(1.0)
        scene.stop(old)
        scene.start("w0", is_awaited=True)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """No message goes to and fro for long where somebody may choose."""
        returned, side = scene.ledger.returned, scene.project.side
        most = max(returned.values(), default=0)
        scene.figures["came to an old worker"] = len(returned)
        scene.figures["times at the most"] = most
        if side.is_ours and not side.needs[1:] and most > MOST_RETURNS:
            return [f"a task came to the old worker {most} times"]
        return []

    def _wait_for_returns(self, scene: Scene) -> None:
        def came() -> bool:
            scene.ledger.look()
            return bool(scene.ledger.returned)

        scene.wait_for(came, "the old worker meets the new task")
