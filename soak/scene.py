"""What a fault has in its hands: a project, its workers and producer, the ledger, and the blows it deals."""

import json
import random
import signal
import time
from collections.abc import Callable
from typing import Any

from benchmarks.driving import Driver
from benchmarks.limits import MeasurementFailed, wait_until
from soak.counts import Blow
from soak.points import Point
from soak.project import Project
from soak.sizes import Sizes
from soak.worker import Worker

#: Between two looks at what has not ended, which are queries.
LOOK_SECONDS = 0.25
#: Nothing is stuck that moved within so long, nor for good before that.
QUIET_SECONDS = 2.0


class Scene:
    """One run of one row; `end` kills what is left of it."""

    def __init__(self, project: Project, sizes: Sizes, seed: int, settings: dict[str, Any]) -> None:
        self.project = project
        self.sizes = sizes
        self.rng = random.Random(seed)  # noqa: S311 - chances that can be had again
        self.ledger = project.begin_anew(settings)
        self.blows: list[Blow] = []
        #: Numbers that must not run, because they are revoked.
        self.forbidden: set[int] = set()
        #: Numbers that cannot run to their end, because they end whoever runs them.
        self.hopeless: set[int] = set()
        #: What a row found out beside the counts.
        self.figures: dict[str, float] = {}
        #: What must not be and no count shows.
        self.complaints: list[str] = []
        self.workers: dict[str, Worker] = {}
        self._started: list[Worker] = []
        self._producers: list[Worker] = []
        self._driver: Driver | None = None
        #: Numbers that the producers are to publish.
        self.ordered = 0

    # Load

    def produce(
        self, units: int, *, kind: str = "single", size: int = 1, longest: float | None = None, **more: Any
    ) -> Worker:
        """Publish so many units of so many numbers from now on; one producer at a time."""
        wait_until(lambda: not self._is_producing(), "the producer", limit_seconds=self.sizes.limit_seconds)
        self.ledger.look()
        order = {
            "kind": kind,
            "units": units,
            "size": size,
            "first": self.ledger.next_number,
            "longest": self.sizes.longest_seconds if longest is None else longest,
            "gap": more.pop("gap", 0.0),
            "seed": self.rng.randrange(2**32),
            "options": more.pop("options", {}),
        }
        producer = self.project.start_producer(order, more.pop("environment", {}))
        self.ordered += units * size
        self._producers.append(producer)
        self._started.append(producer)
        return producer

    def wait_for_published(self) -> None:
        """Until the producer has ended by itself."""
        self.wait_for(lambda: not self._is_producing(), "the producer ends")

    def ask(self, verb: str, **words: Any) -> Any:
        """Of the project's web process, which is started by the first question."""
        if self._driver is None:
            self._driver = self.project.driver(limit_seconds=self.sizes.limit_seconds)
        return self._driver.ask(verb, **words)

    # Workers

    def start(
        self, node: str, *options: str, is_awaited: bool = False, environment: dict[str, str] | None = None
    ) -> Worker:
        """Start a worker under this name, also where one was killed."""
        worker = self.project.start_worker(node, options, environment or {})
        self.workers[node] = worker
        self._started.append(worker)
        if is_awaited:
            self.wait_for_ready(worker)
        return worker

    def start_two(self, *options: str) -> list[Worker]:
        """As many workers as a row has; where they run one task at a time, more of them."""
        names = [f"w{number}" for number in range(2 * self.project.side.copies)]
        workers = [self.start(name, *options) for name in names]
        for worker in workers:
            self.wait_for_ready(worker)
        return workers

    def wait_for_ready(self, worker: Worker) -> None:
        """Until it takes tasks."""

        def is_ready() -> bool:
            if not worker.is_alive:
                raise MeasurementFailed(f"{worker.node} ended: {worker.log()[-1500:]}")
            return worker.is_ready

        self.wait_for(is_ready, f"{worker.node} is ready")

    def stop(self, worker: Worker) -> None:
        """SIGTERM, as a deployment's, and until it has ended."""
        worker.send(signal.SIGTERM)
        self.wait_for(lambda: not worker.is_alive, f"{worker.node} ends")

    def kill(self, worker: Worker, *, is_group: bool = False) -> None:
        """SIGKILL, as the kernel's and as an administrator's in haste."""
        self.struck(worker.pid)
        if is_group:
            worker.send_to_group(signal.SIGKILL)
        else:
            worker.send(signal.SIGKILL)
        self.wait_for(lambda: not worker.is_alive, f"{worker.node} is dead")

    def struck(self, *processes: int) -> None:
        """Note that these are made to end, now."""
        self.blows += [Blow(time.monotonic(), process) for process in processes]

    def die_at(self, point: Point, *, most_hits: int = 1) -> dict[str, str]:
        """The environment of a process that kills itself there, at one of its first so many calls."""
        marker = self.marker(point)
        marker.unlink(missing_ok=True)
        hit = point.every * self.rng.randrange(most_hits) + point.first
        order = {
            "targets": list(point.targets),
            "when": point.when,
            "hit": hit,
            "every": point.every,
            "marker": str(marker),
        }
        return {"SOAK_KILL": json.dumps(order)}

    def wait_for_death(self, point: Point, *, load: Callable[[], object] | None = None) -> int:
        """Until a process has died there; which it was. Raises MeasurementFailed.

        `load` publishes more, when others have done all before anybody came to the point.
        """
        marker = self.marker(point)

        def has_died() -> bool:
            if load is not None and self.is_idle():
                load()
            return marker.exists() and marker.read_text().endswith("\n")

        self.wait_for(has_died, f"{point.name} is reached")
        process, moment = marker.read_text().split()
        self.blows.append(Blow(float(moment), int(process)))
        return int(process)

    def marker(self, point: Point) -> Any:
        """The file that says who died at this point."""
        return self.project.directory / "ledger" / f"died-{point.name}"

    # Waiting

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Look often until it holds. Raises MeasurementFailed, with what the workers said."""
        try:
            wait_until(condition, what, limit_seconds=self.sizes.limit_seconds)
        except MeasurementFailed as error:
            raise MeasurementFailed(f"{error}{self.said()}") from None

    def wait_for_runs(self, share: float) -> None:
        """Until this share of all that was ordered has run."""
        wanted = share * self.ordered

        def have_run() -> bool:
            self.ledger.look()
            return len(self.ledger.ended) >= wanted

        self.wait_for(have_run, f"{wanted:.0f} runs")

    def settle(self) -> int:
        """Wait until all has ended, or nothing moves any more; how much is stuck."""
        self.wait_for_published()
        patience = self.sizes.settle_seconds + self.project.side.slack_seconds
        last = time.monotonic() + self.sizes.limit_seconds
        end, moved = 0.0, -1
        while True:
            self.ledger.look()
            if moved != (moved := len(self.ledger.ended)):
                # What is still being worked through is not stuck.
                end = min(time.monotonic() + patience, last)
            has_all = self.ledger.acknowledged.keys() <= self.ledger.ended | self.forbidden | self.hopeless
            left = self.ask("left") if has_all or time.monotonic() > end else None
            if left == {} or (left is not None and time.monotonic() > end):
                break
            time.sleep(LOOK_SECONDS)
        self._let_late_ones_end()
        if left:
            self.complaints.append(f"not ended {self.sizes.settle_seconds:.0f} s after the last run: {left}")
        return sum(left.values())

    def said(self) -> str:
        """The ends of what the processes said, for whoever looks for the cause."""
        return "".join(f"\n--- {each.node}: {each.log()[-1500:]}" for each in self._started[-4:])

    def end(self) -> None:
        """Kill everything."""
        for process in self._started:
            process.end()
        if self._driver is not None:
            self._driver.close()

    def _let_late_ones_end(self) -> None:
        """A run that goes on after its task has a result, as in a worker that was held for lost."""
        end = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < end:
            self.ledger.look()
            if len(self.ledger.ends) == len({(each.number, each.process) for each in self.ledger.starts}):
                return
            time.sleep(0.05)

    def is_idle(self) -> bool:
        """Whether all that was published has run."""
        if self._is_producing():
            return False
        self.ledger.look()
        return self.ledger.acknowledged.keys() <= self.ledger.ended

    def _is_producing(self) -> bool:
        return any(producer.is_alive for producer in self._producers)
