"""F25 and F26: chords and chains while workers are killed."""

from soak.counts import Counts
from soak.faults.base import SLOTS, at_a_kill
from soak.faults.worker_killed import WorkerKilled
from soak.scene import Scene

#: Of a chord's parts that are delivered twice.
TWICE = 0.05


class _KilledWorkflows(WorkerKilled):
    """As F2, with half as many kills."""

    peers = frozenset({"celery-redis"})

    def strike(self, scene: Scene) -> None:
        """One of the workers, at a random moment of each part of the load."""
        self.load(scene)
        scene.start_two()
        kills = max(2, scene.sizes.blows // 2)
        for number in range(kills):
            scene.wait_for_runs((number + scene.rng.random()) / (kills + 1))
            victim = scene.workers[scene.rng.choice(sorted(scene.workers))]
            scene.wait_for_ready(victim)
            self.deal(scene, victim.node)
            scene.start(victim.node)

    def load(self, scene: Scene) -> None:
        """Publish."""
        raise NotImplementedError


class KilledChords(_KilledWorkflows):
    """Each body runs when all parts have, however often those were delivered."""

    row = "F25"
    title = "chords with parts delivered twice, workers killed"

    def load(self, scene: Scene) -> None:
        """Where the messages are in a database, some of them are there twice."""
        side = scene.project.side
        options = {"twice": TWICE} if side.is_ours and not side.needs[1:] else {}
        size = scene.sizes.header + 1
        scene.produce(scene.sizes.chords, kind="parts_and_body", size=size, options=options)

    def most_duplicates(self, scene: Scene) -> int:
        """What ran at a kill, and what was there twice by intent."""
        return super().most_duplicates(scene) + len(scene.ledger.doubled)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """A body is sent once; it runs twice only where it ran at a kill."""
        size = scene.sizes.header + 1
        twice = sum(runs - 1 for number, runs in scene.ledger.runs.items() if number % size == size - 1)
        return [f"{twice} bodies ran twice"] if twice > len(scene.blows) * SLOTS else []


class KilledChains(_KilledWorkflows):
    """Every chain comes to its end."""

    row = "F26"
    title = "chains, workers killed"

    def load(self, scene: Scene) -> None:
        """All of one length."""
        scene.produce(scene.sizes.chains, kind="links", size=scene.sizes.links)

    def most_duplicates(self, scene: Scene) -> int:
        """Who is killed between the next link and its own ack has the rest of the chain run again."""
        return len(scene.blows) * at_a_kill(scene) * scene.sizes.links
