"""F27: tasks published in transactions, of which half are rolled back, while the publisher is killed."""

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene


class Transactions(Fault):
    """Exactly what was committed runs, by the word of the database, and never before its commit."""

    row = "F27"
    title = "tasks in transactions, half rolled back, the publisher killed"
    # Without it RabbitMQ and Redis have a message before its transaction is committed.
    settings = {"CELERIAC": {"OUTBOX": True}}

    def strike(self, scene: Scene) -> None:
        """One publisher after the other, each killed at a random moment; the last one comes to its end."""
        scene.start_two()
        blocks, kills = scene.sizes.tasks, scene.sizes.blows
        for kill in range(kills):
            producer = scene.produce(blocks - len(scene.ledger.attempted), kind="in_transaction")
            self._wait_for_blocks(scene, round(blocks * (kill + scene.rng.random()) / (kills + 1)))
            scene.kill(producer)
            scene.ledger.look()
        scene.produce(max(1, blocks - len(scene.ledger.attempted)), kind="in_transaction")
        scene.wait_for_published()
        scene.ledger.look()
        committed = set(scene.ask("committed"))
        scene.forbidden = scene.ledger.attempted - committed
        scene.figures["committed"] = len(committed)
        scene.figures["not"] = len(scene.forbidden)

    def most_duplicates(self, scene: Scene) -> int:
        """With the outbox a publisher may die between a message and the deletion of its row."""
        return len(scene.blows) if scene.project.side.needs[1:] else 0

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """What was committed and not acknowledged runs too."""
        unheard = scene.ledger.attempted - scene.forbidden - scene.ledger.acknowledged.keys()
        missing = unheard - scene.ledger.ended
        found = [f"{len(missing)} were committed, not acknowledged, and did not run"] if missing else []
        if taken_back := scene.ledger.acknowledged.keys() & scene.forbidden:
            found.append(f"{len(taken_back)} were acknowledged and are not committed")
        return found

    def _wait_for_blocks(self, scene: Scene, wanted: int) -> None:
        """Until so many were begun, and one more than before."""
        begun = len(scene.ledger.attempted)

        def are_begun() -> bool:
            scene.ledger.look()
            return len(scene.ledger.attempted) > max(begun, wanted - 1)

        scene.wait_for(are_begun, f"{wanted} blocks are begun")
