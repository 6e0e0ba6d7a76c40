"""The attempts that ended with their worker: what ran when it died, kept by whoever finds it dead.

They are written before the messages of that worker go to others, under the tokens of its claims: who comes
second, or does it again, adds nothing. The messages do not wait for the table: what it refuses is told in the
log.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from celery import Celery, states
from celery.exceptions import WorkerLostError
from django.conf import settings
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from celeriac.broker.queries import restoring
from celeriac.broker.queries.workers import Peer
from celeriac.database.failures import first_line
from celeriac.database.session import Session
from celeriac.models import Outcome
from celeriac.results import attempts, failing, left_running
from celeriac.results.attempts import Ended
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: How long a busy database may hold up the messages.
_PATIENCE_SECONDS = 1.0
#: A task in these states has not begun, where its beginning is stored.
_NOT_BEGUN = frozenset({states.PENDING, states.RECEIVED, states.RETRY})


def keep_attempts(app: Celery, broker_alias: str | None, peer: Peer) -> None:
    """Keep what ran in a worker that is dead; never raises.

    `broker_alias`: the database that carries the messages, None: another broker does.
    """
    try:
        found = _in_states(peer) if broker_alias is None else _in_messages(app, broker_alias, peer)
        if found:
            _run(results_alias(), partial(attempts.write, attempts=found))
    except Error as error:
        logger.warning("What ran in worker %s is not kept: %s", peer.node, first_line(error))
    except Exception:
        logger.exception("What ran in worker %s is not kept.", peer.node)


def _in_messages(app: Celery, broker_alias: str, peer: Peer) -> list[Ended]:
    held = _run(broker_alias, partial(restoring.begun, worker=peer.id, most=peer.concurrency))
    begun = {each.task_id: each for each in held if each.task_id}
    if not begun:
        return []
    known = _run(results_alias(), partial(attempts.states_of, task_ids=list(begun)))
    # What has ended was told by its own process, and its ack did not come so far.
    others = states.READY_STATES | (_NOT_BEGUN if app.conf.task_track_started else frozenset())
    return [
        _attempt(peer, task_id, each.task_name or "", f"{each.id}-{each.token}")
        for task_id, each in begun.items()
        if known.get(task_id) not in others
    ]


def _in_states(peer: Peer) -> list[Ended]:
    left = _run(results_alias(), partial(left_running.find, node=peer.node, since=began_at(peer)))
    return [_attempt(peer, each.task_id, each.name, run_key(peer, each.task_id)) for each in left]


def began_at(peer: Peer) -> datetime:
    """When this life of the worker began, as its own clock had it: what it stored since then is later."""
    began = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=peer.started_at)
    return began if settings.USE_TZ else timezone.make_naive(began)


def run_key(peer: Peer, task_id: str) -> str:
    """Of the run of a task that ended with its worker, where no claim tells."""
    return f"{peer.id} {task_id}"[:64]


def error_of(peer: Peer) -> WorkerLostError:
    """With the words that Celery has for a process of the pool."""
    return WorkerLostError(f"Worker exited prematurely: {peer.node} was lost while it ran the task.")


def _attempt(peer: Peer, task_id: str, task_name: str, run_key: str) -> Ended:
    return Ended(
        task_id,
        task_name,
        Outcome.LOST,
        worker=peer.node,
        exception=failing.class_name(WorkerLostError),
        message=str(error_of(peer)),
        run_key=run_key,
    )


def _run(alias: str, work: Callable[[BaseDatabaseWrapper], T]) -> T:
    session = Session(alias)
    try:
        return session.run(work, patience_seconds=_PATIENCE_SECONDS)
    finally:
        session.close()
