"""The projects of a run, made when they are first asked for; all of it is given back at the end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.places import KINDS, Place
from soak.own_places import OWN
from soak.project import Project
from soak.sides import Side


class Stage:
    """Where the systems stand while faults are dealt to them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._places: list[Place] = []
        self._projects: dict[str, Project] = {}

    def project(self, side: Side, *, has_own_server: bool = False) -> Project:
        """Made once; another one where the server is its own. Raises Unreachable, MeasurementFailed."""
        name = f"{side.name}-own" if has_own_server else side.name
        if name not in self._projects:
            directory = self._directory / name
            kinds = {**KINDS, **OWN} if has_own_server else KINDS
            places = {kind: self._made(kinds[kind], directory) for kind in side.needs}
            self._projects[name] = Project(side, directory, places)
        return self._projects[name]

    def clear(self) -> None:
        """Drop every place; nothing runs any more."""
        for place in self._places:
            place.drop()
        self._places.clear()
        self._projects.clear()

    def _made(self, kind: type[Place], directory: Path) -> Place:
        place = kind(f"celeriac_soak_{os.getpid()}_{len(self._places)}", directory)
        place.make()
        self._places.append(place)
        return place


@contextmanager
def stage() -> Iterator[Stage]:
    """An empty stage, cleared at the end whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix="celeriac-soak-"))
    made = Stage(directory)
    try:
        yield made
    finally:
        made.clear()
        shutil.rmtree(directory, ignore_errors=True)
