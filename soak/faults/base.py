"""A fault: what is done to the workers of a project while it has work, and what must hold all the same."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from soak.counts import Counts
from soak.scene import Scene
from soak.sides import CONCURRENCY


class Fault(ABC):
    """A row of the matrix: a file with `strike`, and what it allows where it is more than nothing."""

    row: ClassVar[str]
    title: ClassVar[str]
    #: Settings of the project for this row alone.
    settings: ClassVar[dict[str, Any]] = {}
    #: Whether what carries the messages must be a database.
    is_for_databases_alone: ClassVar[bool] = False
    #: Systems beside Celeriac that it is dealt to.
    peers: ClassVar[frozenset[str]] = frozenset()
    #: Whether the database's server is ended: it is started for this row alone.
    crashes_server: ClassVar[bool] = False
    #: Of `recovered`, at 95 % and at the most.
    p95_seconds: ClassVar[float] = 5.0
    most_seconds: ClassVar[float] = 35.0

    @abstractmethod
    def strike(self, scene: Scene) -> None:
        """Publish, start workers, deal the blows; at the end workers must run that finish the rest."""

    def most_duplicates(self, scene: Scene) -> int:
        """How many runs beyond the first may be: what ran at a kill runs again."""
        return 0

    def judge(self, scene: Scene, counts: Counts) -> list[str]:
        """What must not be, beside the counts that are judged for every row."""
        return []


def complaints(fault: Fault, scene: Scene, counts: Counts) -> list[str]:
    """Everything that breaks the promise in this run."""
    slack = scene.project.side.slack_seconds
    none = {name: getattr(counts, name) for name in ("lost", "unexpected", "forbidden", "stuck")}
    found = [*scene.complaints, *(f"{name}: {value}" for name, value in none.items() if value)]
    if counts.duplicated > (most := fault.most_duplicates(scene)):
        found.append(f"duplicated: {counts.duplicated}, of which {most} may be")
    if scene.ledger.refused:
        found.append(f"refused: {len(scene.ledger.refused)}, {next(iter(scene.ledger.refused.values()))}")
    if (counts.recovered_max or 0) > fault.most_seconds + slack:
        found.append(f"recovered after {counts.recovered_max:.1f} s")
    # Of few, the 95th percentile is the last.
    if len(counts.recovered) >= 20 and (counts.recovered_p95 or 0) > fault.p95_seconds + slack:
        found.append(f"recovered at p95 after {counts.recovered_p95:.1f} s")
    if scene.project.side.is_ours:
        found += _of_results(scene)
    return [*found, *fault.judge(scene, counts)]


def _of_results(scene: Scene) -> list[str]:
    """Every task that ran to its end has its result; none was given up that could come to it."""
    given_up = {scene.ledger.acknowledged.get(number) for number in scene.hopeless}
    letters = [each for each in scene.ask("dead_letters") if each.partition(":")[0] not in given_up]
    found = [f"dead letter: {each}" for each in letters]
    results = scene.ask("results")
    if results.get("SUCCESS", 0) < len(scene.ledger.ended - scene.forbidden):
        found.append(f"results: {results}, {len(scene.ledger.ended)} ran to their end")
    if results.get("FAILURE") == len(given_up):
        del results["FAILURE"]
    if others := {state: count for state, count in results.items() if state not in {"SUCCESS", "REVOKED"}}:
        found.append(f"results: {others}")
    if regressed := scene.ask("regressed"):
        found.append(f"{regressed} results were SUCCESS and are not any more")
    return found


#: Tasks that can run at one moment in all workers, and in one.
ALL_SLOTS, SLOTS = 2 * CONCURRENCY, CONCURRENCY
#: Of Celery: messages that a worker holds for each slot beside the one that runs.
PREFETCHED = 4


def at_a_kill(scene: Scene) -> int:
    """How many runs the death of one worker may repeat.

    RabbitMQ and Redis know of an end by its ack alone, which waits for the result: what ended in the last
    moment runs again too. Where the messages are in a database it does not.
    """
    side = scene.project.side
    return SLOTS if side.is_ours and len(side.needs) == 1 else SLOTS * (1 + PREFETCHED)
