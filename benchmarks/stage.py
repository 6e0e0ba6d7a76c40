"""The projects of a run, each with places of its own; all of it is given back at the end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.limits import MeasurementFailed
from benchmarks.places import KINDS, Place, Unreachable
from benchmarks.progress import say
from benchmarks.project import Project


class Stage:
    """Where contestants stand while they take part."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        #: Brokers are shared: they are empty whenever a visit begins, and visits follow each other.
        self._shared: dict[str, Place] = {}
        self._places: list[Place] = []
        self._projects: list[Project] = []

    def project(self, contestant: Contestant) -> Project:
        """Its project, ready. Raises Unreachable, MeasurementFailed."""
        directory = self._directory / contestant.name
        places = {kind: self._place(kind, directory) for kind in contestant.needs}
        project = Project(contestant, directory, places)
        self._projects.append(project)
        return project

    def clear(self) -> None:
        """End every process, drop every place."""
        for project in self._projects:
            project.close()
        for place in self._places:
            place.drop()

    def _place(self, kind: str, directory: Path) -> Place:
        if kind in self._shared:
            return self._shared[kind]
        place = KINDS[kind](f"celeriac_bench_{os.getpid()}_{len(self._places)}", directory)
        place.make()
        self._places.append(place)
        if place.database() is None:
            self._shared[kind] = place
        return place


@contextmanager
def stage() -> Iterator[Stage]:
    """An empty stage, cleared at the end whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix="celeriac-bench-"))
    made = Stage(directory)
    try:
        yield made
    finally:
        made.clear()
        shutil.rmtree(directory, ignore_errors=True)


def prepared(made: Stage, contestants: list[Contestant]) -> tuple[list[Project], list[str]]:
    """The projects of those who can take part, and why the others cannot."""
    projects, left_out = [], []
    for contestant in contestants:
        reason = contestant.reason_missing()
        if reason is None:
            say(f"preparing {contestant.name}")
            try:
                projects.append(made.project(contestant))
                continue
            except (Unreachable, MeasurementFailed) as error:
                reason = str(error)
        left_out.append(f"{contestant.title}: {reason}")
        say(f"left out: {left_out[-1]}")
    return projects, left_out
