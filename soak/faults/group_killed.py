"""F4: `kill -9` of a worker with its whole process group, or without, to see what becomes of the pool."""

import time
from pathlib import Path

from soak.faults.worker_killed import WorkerKilled
from soak.scene import Scene

#: A process of the pool may outlive its worker by the task that it runs.
ORPHAN_SECONDS = 2.0


class GroupKilled(WorkerKilled):
    """Every second time the main process alone: its children must not outlive it."""

    row = "F4"
    title = "a worker is killed with its process group"

    def deal(self, scene: Scene, node: str) -> None:
        """Kill it, and see its children go."""
        victim = scene.workers[node]
        children = victim.children
        scene.kill(victim, is_group=len(scene.blows) % 2 == 0)
        end = time.monotonic() + ORPHAN_SECONDS + scene.sizes.longest_seconds
        while orphans := [child for child in children if _lives(child)]:
            if time.monotonic() > end:
                scene.complaints.append(f"orphans of {node}: {orphans}")
                return
            time.sleep(0.02)


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
