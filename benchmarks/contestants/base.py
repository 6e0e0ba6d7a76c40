"""A contestant: what its project has, what its worker is, and what it may be asked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from benchmarks.places import Place

#: Tasks at the same time, for every contestant.
SLOTS = 2


@dataclass(frozen=True, slots=True)
class Pool:
    """A way to run two tasks at the same time."""

    name: str
    #: What Python is given in the project's directory; `{count}` is how many tasks there will be.
    command: tuple[str, ...]
    #: Workers that are started; where one of them runs one task at a time, two.
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the report for each pool; the first pool is also asked for everything beside the drain."""

    name: str
    title: str
    kit: str
    module: str
    needs: tuple[str, ...]
    pools: tuple[Pool, ...]
    apps: tuple[str, ...] = ()
    settings: Callable[[Mapping[str, Place]], str] = lambda _: ""
    #: Takes fewer tasks, so that a run ends in time.
    is_slow: bool = False
    #: Has a call for many tasks that is worth more than a loop.
    has_bulk: bool = False
    #: Publishes to itself and stores nothing: the ceiling.
    is_engine_alone: bool = False
    can_claim: bool = False
    note: str = ""
    measures: frozenset[str] = field(
        default_factory=lambda: frozenset({"enqueue", "drain", "idle", "pickup"})
    )

    def reason_missing(self) -> str | None:
        """Why it cannot take part in this environment; None when it can."""
        if find_spec(self.module) is None:
            return f"the Python module {self.module} is missing; `make bench` installs it"
        return None


def setting(name: str, value: object) -> str:
    """A line of a settings file."""
    return f"{name} = {json.loads(json.dumps(value))!r}"
