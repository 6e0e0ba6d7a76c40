"""F1: no fault at all."""

from soak.faults.base import Fault
from soak.scene import Scene


class NoFault(Fault):
    """What all others are measured against."""

    row = "F1"
    title = "no fault"
    peers = frozenset({"celery-redis", "django-tasks-db"})

    def strike(self, scene: Scene) -> None:
        """Nothing."""
        scene.produce(scene.sizes.tasks)
        scene.start_two()
