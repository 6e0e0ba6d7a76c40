"""F2: `kill -9` of a worker's main process, again and again."""

from soak.faults.base import Fault, at_a_kill
from soak.scene import Scene


class WorkerKilled(Fault):
    """Its pool's processes are left to themselves; another worker is started under its name at once."""

    row = "F2"
    title = "a worker is killed"
    peers = frozenset({"celery-redis", "django-tasks-db"})
    is_group = False

    def strike(self, scene: Scene) -> None:
        """One of the workers, at a random moment of each part of the load."""
        scene.produce(scene.sizes.tasks)
        scene.start_two()
        for number in range(scene.sizes.blows):
            scene.wait_for_runs((number + scene.rng.random()) / (scene.sizes.blows + 1))
            victim = scene.workers[scene.rng.choice(sorted(scene.workers))]
            scene.wait_for_ready(victim)
            self.deal(scene, victim.node)
            scene.start(victim.node)

    def deal(self, scene: Scene, node: str) -> None:
        """Kill it."""
        scene.kill(scene.workers[node], is_group=self.is_group)

    def most_duplicates(self, scene: Scene) -> int:
        """What ran in the worker that was killed."""
        return len(scene.blows) * at_a_kill(scene)
