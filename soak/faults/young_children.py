"""F31: each process of the pool runs one task and is replaced: forks beside open connections."""

import re

from soak.counts import Counts
from soak.faults.base import Fault
from soak.scene import Scene

#: What drivers say of a connection that two processes use.
SHARED = re.compile(
    r"SSL error|SSL SYSCALL|another command is already in progress|malformed|lost synchronization"
    r"|Packet sequence number wrong|Commands out of sync|disk I/O error",
    re.IGNORECASE,
)


class YoungChildren(Fault):
    """No connection crosses a fork."""

    row = "F31"
    title = "a new process for each task (max_tasks_per_child=1)"

    def strike(self, scene: Scene) -> None:
        """Half of the load: a fork takes its time."""
        scene.produce(scene.sizes.tasks // 2, longest=0.0)
        scene.start_two("--max-tasks-per-child", "1")

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """Nobody complains of his connection, and the database is whole."""
        logs = "\n".join(worker.log() for worker in scene.workers.values())
        found = [f"the log has {match[0]!r}" for match in SHARED.finditer(logs)][:3]
        return found if scene.ask("is_sound") else [*found, "the database is not whole"]
