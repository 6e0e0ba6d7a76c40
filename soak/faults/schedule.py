"""F28: three workers carry the schedule and are killed, one at a time and now and then all together."""

from typing import Any

from soak.counts import Counts
from soak.faults.base import Fault, at_a_kill
from soak.scene import Scene

#: Both fire once a second; they differ in what becomes of seconds in which no worker lived.
EACH, ONE = "each second", "each second that it can"
_NODES = ("w0", "w1", "w2")
#: Seconds between two blows.
_LEAST, _MOST = 3, 9
_SECOND = 1_000_000


class KilledSchedulers(Fault):
    """Every due time is one tick and one task: none is missing, none is there twice."""

    row = "F28"
    title = "schedulers are killed"
    settings = {
        "CELERY_BEAT_SCHEDULE": {
            EACH: {"task": "tasks.tick", "schedule": 1.0, "catch_up": "all"},
            ONE: {"task": "tasks.tick", "schedule": 1.0},
        }
    }

    def strike(self, scene: Scene) -> None:
        """Count the ticks that ran, and kill by their number."""
        scene.produce(scene.sizes.tasks // 10)
        for node in _NODES:
            scene.start(node)
        for worker in list(scene.workers.values()):
            scene.wait_for_ready(worker)
        for number in range(scene.sizes.blows):
            _wait_for_seconds(scene, scene.rng.randint(_LEAST, _MOST))
            victims = _NODES if number % 3 == 2 else (scene.rng.choice(_NODES),)
            for node in victims:
                scene.kill(scene.workers[node])
            for node in victims:
                scene.start(node)
        _wait_for_seconds(scene, _LEAST)
        scene.ask("pause_schedule", names=[EACH, ONE])

    def most_duplicates(self, scene: Scene) -> int:
        """What ran in the workers that were killed."""
        return len(scene.blows) * at_a_kill(scene)

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """Compare the ticks with the seconds that have passed, and with the tasks that ran."""
        each, one = scene.ask("ticks", name=EACH), scene.ask("ticks", name=ONE)
        ran = set(_ran(scene))
        ids = [task_id for _, _, task_id in [*each, *one]]
        seconds = 1 + (each[-1][0] - each[0][0]) // _SECOND
        late = [(fired - due) / _SECOND for due, fired, _ in each]
        scene.figures |= {
            "seconds": seconds,
            "ticks": len(each),
            "ticks by the policy once": len(one),
            "latest tick, s": max(late),
            "median tick, s": sorted(late)[len(late) // 2],
        }
        faults = {
            "seconds without a tick": seconds - len(each),
            "doubled ticks": len(each) + len(one) - len(_dues(each)) - len(_dues(one)),
            "ticks off the second": sum((due - each[0][0]) % _SECOND != 0 for due, _, _ in each),
            "tasks of two ticks": len(ids) - len(set(ids)),
            "ticks whose task never ran": len(set(ids) - ran),
            "tasks without a tick": len(ran - set(ids)),
        }
        return [f"{what}: {count}" for what, count in faults.items() if count]


def _dues(ticks: list[list[Any]]) -> set[int]:
    return {due for due, _, _ in ticks}


def _ran(scene: Scene) -> list[str]:
    """The ids of the tasks that the schedule fired and that ran, again where they ran again."""
    file = scene.project.directory / "ledger" / "ticks"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [line.split(" ")[0] for line in lines]


def _wait_for_seconds(scene: Scene, seconds: int) -> None:
    """Until so many more ticks have run, which are two a second."""
    wanted = len(_ran(scene)) + 2 * seconds
    scene.wait_for(lambda: len(_ran(scene)) >= wanted, f"{seconds} seconds of the schedule")
