"""`celeriac.is_available()`: whether a worker would run a task that is sent now, asked of the tables."""

from functools import partial
from typing import Any

from celery import Celery
from django.db import Error, connections

from celeriac.app import get_app
from celeriac.broker import clock
from celeriac.broker import paused as paused_queues
from celeriac.broker.explaining import in_one_line
from celeriac.broker.queries import queries_for, workers
from celeriac.conf import options
from celeriac.database import failures, threads
from celeriac.errors import Unreachable
from celeriac.results.pending import results_alias
from celeriac.selectors import places

#: So many heartbeats may fail to come before their worker does not count.
_MISSED = 3


def is_available(queue: str | None = None, *, timeout: float = 1.0) -> bool:
    """Whether a live worker takes messages, or takes them from this queue; False also for a paused one.

    One query of a small table, of the workers' own signs of life: a worker that was killed counts for up to
    three heartbeats, 15 s. A database that does not answer is False. Where neither messages nor results are
    in a database, workers are asked by remote control, and the answer may take `timeout` seconds.
    """
    return threads.run_anywhere(partial(_is_available, get_app(), queue, timeout))


def _is_available(app: Celery, queue: str | None, timeout: float) -> bool:
    alias = places.of_workers(app)
    try:
        if alias is None:
            return _answers(app, queue, timeout)
        if queue is not None and queue in paused_queues.names(results_alias()):
            return False
        return any(queue is None or queue in each for each in queues_of_workers(alias))
    except Error as error:
        if failures.is_lost(error):
            return False
        raise


def queues_of_workers(alias: str) -> list[list[str]]:
    """The queues of each worker that lives, by the database's clock; on the caller's connection."""
    connection = connections[alias]
    within = clock.seconds(_MISSED * options().heartbeat_seconds)
    return workers.alive(connection, queries_for(connection), within)


def _answers(app: Celery, queue: str | None, timeout: float) -> bool:
    """Ask all: whoever is the first to say that it lives ends the wait, unless it must be of a queue."""
    try:
        with in_one_line(app):
            if queue is None:
                return bool(app.control.ping(timeout=timeout, limit=1))
            replies = app.control.broadcast("active_queues", reply=True, timeout=timeout) or []
    except Unreachable:
        return False
    return any(_has(queue, taken) for reply in replies for taken in reply.values())


def _has(queue: str, taken: Any) -> bool:
    return isinstance(taken, list) and any(each.get("name") == queue for each in taken)
