"""The queues, and how they are doing: what waits and since when, what is taken, what is paused or dead."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from celery import Celery

from celeriac.broker import address, caller, clock, depths, paused
from celeriac.broker.queries import clocks, figures
from celeriac.models import Queue, TaskRecord
from celeriac.results.pending import results_alias
from celeriac.selectors import places

#: Tasks that are asked for the queues that nobody has in the settings.
_NEWEST = 1000


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue. None: not known, as on RabbitMQ and Redis what a worker has taken."""

    name: str
    #: Messages that a worker may take now.
    waiting: int | None = None
    #: Messages for later: a countdown, an ETA, a retry.
    scheduled: int | None = None
    #: Messages that workers have taken: their tasks run, or are the next.
    claimed: int | None = None
    #: How long the oldest of those that wait has been doing so; None as well when nothing waits.
    oldest_waiting_seconds: float | None = None
    is_paused: bool = False
    dead_letters: int = 0


def queues(app: Celery) -> list[QueueState]:
    """All queues that anybody declared, published to, paused or has in the settings, by their names.

    A few indexed statements, however many messages there are. Raises Unreachable where another broker does
    not answer, and the database's errors.
    """
    alias = address.alias_of(app)
    dead = caller.run(places.of_letters(app), lambda connection, _: figures.dead(connection))
    stopped = set(paused.names(results_alias()))
    known = {*app.amqp.queues, *stopped, *dead}
    found = _elsewhere(app, known, places.of_workers(app)) if alias is None else _in_database(alias, known)
    return [
        replace(state, is_paused=state.name in stopped, dead_letters=dead.get(state.name, 0))
        for state in sorted(found, key=lambda state: state.name)
    ]


def _in_database(alias: str, known: Iterable[str]) -> list[QueueState]:
    found = caller.run(
        alias, lambda connection, queries: figures.depths(connection, clocks.now(connection, queries))
    )
    declared = Queue.objects.using(alias).values_list("name", flat=True)
    nothing = figures.Depth()
    return [_state(name, found.get(name, nothing)) for name in {*known, *declared, *found}]


def _state(name: str, depth: figures.Depth) -> QueueState:
    oldest = None if depth.oldest is None else depth.oldest / clock.MICROSECONDS
    return QueueState(name, depth.ready, depth.delayed, depth.claimed, oldest)


def _elsewhere(app: Celery, known: set[str], alias: str | None) -> list[QueueState]:
    """No broker lists its queues to its clients, but the newest tasks say where they have been sent."""
    newest = TaskRecord.objects.using(alias).order_by("-published_at").values_list("queue", flat=True)
    sent_to = set() if alias is None else set(newest[:_NEWEST]) - {""}
    found = depths.of(app, sorted(known | sent_to))
    return [QueueState(name, waiting) for name, waiting in found.items() if waiting or name in known]
