"""Tasks that were acknowledged when they began, and whose worker died: nobody runs them again, so they end.

Their FAILURE is stored in the transaction in which the worker is marked lost. So one process alone does it,
before another one can bear that worker's name, and before what is given back begins again. Where messages are
in a database, a task has one as long as it is to run. RabbitMQ and Redis do not say what they have: there the
type of the task tells whether it was acknowledged early.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery, states
from celery.app.task import Context
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker.errors import BrokerRefused
from celeriac.broker.queries import restoring
from celeriac.broker.queries.workers import Peer
from celeriac.database.failures import first_line
from celeriac.database.session import Session
from celeriac.errors import CannotBeSentAgain
from celeriac.publisher.kept import Kept
from celeriac.results import left_running, writer
from celeriac.results.backend import DatabaseBackend
from celeriac.results.left_running import Left
from celeriac.results.pending import results_alias
from celeriac.worker import lost

logger = logging.getLogger(__name__)

#: How long another database with the results is tried at each look.
_PATIENCE_SECONDS = 1.0


def end_lost(
    app: Celery, broker_alias: str | None, connection: BaseDatabaseWrapper, peer: Peer
) -> Callable[[], object]:
    """Store the FAILURE of what ran in the worker and nobody runs again; what follows after the commit.

    `connection`: of the transaction in which the worker is lost. Raises what the database refuses there.
    `broker_alias`: the database that carries the messages, None: another broker does.
    """
    if not isinstance(app.backend, DatabaseBackend):
        return object
    messages = None if broker_alias is None else connection
    store = partial(_store, app, messages, peer)
    is_here = broker_alias in {None, results_alias()}
    failed = store(connection) if is_here else _elsewhere(store)
    return partial(_let_follow, app, lost.error_of(peer), failed)


def _elsewhere(store: Callable[[BaseDatabaseWrapper], list[Context]]) -> list[Context]:
    """Committed before the loss of the worker is: whoever has to do it again finds them ended.

    Raises BrokerRefused, and the reaper says how often that is tried again.
    """
    session = Session(results_alias())
    try:
        return session.run(store, patience_seconds=_PATIENCE_SECONDS)
    except Error as error:
        # No error of the caller's database, which is tried again: this transaction is over.
        raise BrokerRefused(f"The results in {session.alias!r}: {first_line(error)}") from error
    finally:
        session.close()


def _store(
    app: Celery, messages: BaseDatabaseWrapper | None, peer: Peer, connection: BaseDatabaseWrapper
) -> list[Context]:
    left = left_running.find(connection, peer.node, lost.began_at(peer))
    if messages is not None:
        waiting = (
            restoring.with_messages(messages, peer.id, {each.task_id for each in left}) if left else set()
        )
        ended = [each for each in left if each.task_id not in waiting]
    else:
        ended = [each for each in left if _is_acknowledged_early(app, each.name)]
    if ended:
        # What runs again is none of our business: its row may be in the hands of somebody slow.
        ended = left_running.lock(connection, peer.node, ended)
    requests = [_request_of(each, peer) for each in ended]
    for request in requests:
        app.backend.store_failure(connection, lost.error_of(peer), request)
    return requests


def _is_acknowledged_early(app: Celery, name: str) -> bool:
    """Whether this process knows the task, and that no broker gives it back."""
    task = app.tasks.get(name)
    return task is not None and not task.acks_late


def _request_of(left: Left, peer: Peer) -> Context:
    """The request that the lost worker had, as far as the record has the message."""
    request: dict[str, Any] = {}
    try:
        kept = Kept.read(left.task_id, left.message)
    except CannotBeSentAgain:
        pass  # Nobody knows what follows.
    else:
        request = {**kept.headers, **kept.embedded}
        request["reply_to"] = kept.properties.get("reply_to")
        request["correlation_id"] = kept.properties.get("correlation_id")
        if isinstance(kept.body, list | tuple) and len(kept.body) == 3:
            request["args"], request["kwargs"] = kept.body[:2]
    known = {
        "id": left.task_id,
        "task": left.name,
        "hostname": peer.node,
        "delivery_info": {},
        "celeriac_run_key": lost.run_key(peer, left.task_id),
    }
    return Context({**request, **known})


def _let_follow(app: Celery, error: Exception, requests: list[Context]) -> None:
    """Errbacks, the rest of a chain, a chord: by the writer, for they take their time. Never raises."""
    elsewhere = writer.for_this_thread()
    for request in requests:
        logger.warning("Task %s[%s] ended with its worker: %s", request.task, request.id, error)
        if elsewhere is not None:
            elsewhere.submit(partial(_follow, app, error, request))
            continue
        try:
            _follow(app, error, request)
        except Exception:
            logger.exception("What follows from the end of task %s is not done.", request.id)


def _follow(app: Celery, error: Exception, request: Context) -> None:
    """Safe to do again. Not where its worker lived and its SUCCESS came, or somebody has sent it again."""
    if app.backend.get_state(request.id) == states.FAILURE:
        app.backend.mark_as_failure(request.id, error, request=request)
