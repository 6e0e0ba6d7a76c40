"""One visit to one contestant: its project, emptied, and one pool; the rounds are made of visits."""

import time
from dataclasses import dataclass, field

from benchmarks.contestants import Contestant, Pool
from benchmarks.driving import Driver
from benchmarks.limits import MeasurementFailed, wait_until
from benchmarks.project import Project
from benchmarks.sizes import Sizes

#: A figure's name and its values; most have one value a visit, the waits of pick-up have many.
Figures = dict[str, list[float]]
WARM_UP = 4
#: Looking at the process costs more than looking at the stamps.
CHECKED_EVERY = 50


@dataclass(slots=True)
class Visit:
    """What a measure has in its hands."""

    project: Project
    pool: Pool
    sizes: Sizes
    #: Tasks per second of this visit's drain, once that is known.
    rate: float | None = None
    is_running: bool = False
    _driver: Driver | None = None
    _next: int = field(default=0)

    @property
    def contestant(self) -> Contestant:
        return self.project.contestant

    @property
    def driver(self) -> Driver:
        if self._driver is None:
            self._driver = self.project.driver(limit_seconds=self.sizes.limit_seconds)
        return self._driver

    def begin_anew(self) -> None:
        """Nothing runs, nothing waits, nothing is stored."""
        self.end()
        self.project.empty()
        self._next = 0

    def end(self) -> None:
        """Stop the worker, then the web process."""
        self.project.stop_worker()
        self.is_running = False
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def numbers(self, count: int) -> int:
        """The first of so many numbers that no task of this visit has yet."""
        first = self._next
        self._next += count
        return first

    def start_worker(self, *, count: int = 0) -> float:
        """Start it; the moment."""
        moment = time.monotonic()
        self.project.start_worker(self.pool, count=count)
        self.is_running = True
        return moment

    def worker_that_ran(self) -> None:
        """A worker that has already run a few tasks: everything is imported and connected."""
        if not self.is_running:
            self.begin_anew()
            self.start_worker()
        first = self.numbers(WARM_UP)
        self.driver.ask("single", first=first, count=WARM_UP)
        self.wait_for_stamps(first + WARM_UP)

    def wait_for_stamps(self, count: int) -> None:
        """Until so many tasks ran since the visit was begun anew. Raises MeasurementFailed."""
        looks = 0

        def have_run() -> bool:
            nonlocal looks
            looks += 1
            if looks % CHECKED_EVERY == 0:
                self.project.check_worker()
            return self.project.stamps.count() >= count

        try:
            wait_until(have_run, f"{count} tasks", limit_seconds=self.sizes.limit_seconds)
        except MeasurementFailed as error:
            ran, log = self.project.stamps.count(), self.project.log()[-1000:]
            raise MeasurementFailed(f"{error}; {ran} ran. {log}") from None
