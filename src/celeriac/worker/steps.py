"""What a worker does beyond Celery at its start and its end, whoever starts it and however."""

import atexit
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import Celery, signals
from celery._state import get_current_worker_task
from django.db import Error

from celeriac.broker import compression, deliveries, presence, reaper, server_settings
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.database import failures, forks
from celeriac.errors import CeleriacError
from celeriac.results import received, storing, writer
from celeriac.worker import (
    about,
    early_acks,
    ending,
    finished,
    flushing,
    given_up,
    housekeeping,
    lost,
    marking,
    notifying,
    pool,
    pool_size,
    preflight,
    recovery,
    relay,
    scheduling,
    spawning,
    uncounted,
)
from celeriac.worker.ending import StopAtOnce
from celeriac.worker.late_acks import LateAcks
from celeriac.worker.marking import MarkLoop
from celeriac.worker.orders import FollowOrders
from celeriac.worker.rate_limits import RateLimits
from celeriac.worker.refusals import Refusals
from celeriac.worker.unknown_tasks import UnknownTasks

logger = logging.getLogger(__name__)

_UID = "celeriac.worker"

#: What ends this process's worker if nothing else does.
_at_exit: Callable[[], object] = object


def install(app: Celery) -> None:
    """Follow the workers of this app; done once, when Django is ready."""
    spawning.install(app)
    housekeeping.connect()
    scheduling.connect()
    finished.connect()
    uncounted.install()
    app.steps["consumer"] |= {
        FollowOrders,
        LateAcks,
        MarkLoop,
        RateLimits,
        Refusals,
        StopAtOnce,
        UnknownTasks,
    }
    signals.import_modules.connect(_discover, sender=app, dispatch_uid=f"{_UID}.discover")
    signals.celeryd_after_setup.connect(partial(_begin, app), weak=False, dispatch_uid=f"{_UID}.begin")
    # For a spawned child; a forked one has inherited it.
    signals.worker_process_init.connect(_begin_child, dispatch_uid=f"{_UID}.child")
    signals.worker_shutdown.connect(_end_worker, dispatch_uid=f"{_UID}.end")


def _discover(**_: Any) -> None:
    from celeriac import discovery

    try:
        discovery.discover()
    except CeleriacError as error:
        # A signal's receiver may not raise: Celery would log it and start without the tasks.
        raise SystemExit(f"celery: {error}") from error


def _begin(app: Celery, instance: Any, **_: Any) -> None:
    """The worker knows its name and its pool, and has not forked yet."""
    global _at_exit
    if instance.app is not app:
        return
    forks.close_django_connections(when=lambda: get_current_worker_task() is None)
    try:
        found = preflight.inspect(app)
        pool.shorten(instance.pool, found.broker_alias)
        ending.hasten(instance)
        ending.hear_repeated_signals()
        preflight.check_names(app)
        # Attempts and dead letters are ours with every backend. A dead worker may be found below.
        writer.start()
        if found.results_alias is not None:
            # Before the name of a killed one is claimed, which gives its messages to others.
            recovery.recover(found.broker_alias, is_starting=True)
            reaper.before_losing[_UID] = partial(recovery.recover, found.broker_alias)
            reaper.losing[_UID] = partial(lost.keep_attempts, app, found.broker_alias)
            reaper.closing[_UID] = partial(early_acks.end_lost, app, found.broker_alias)
        alias = found.broker_alias or found.results_alias
        if alias is not None:
            present = presence.presence_for(alias, instance.hostname)
            kind = _pool_name(instance)
            slots = pool_size.bounds(instance, kind)[1]
            present.taken_from = partial(_taken_from, app)
            present.describe(kind, slots, present.taken_from())
            if found.broker_alias is not None:
                deliveries.deliveries_for(found.broker_alias).slots = slots
        _start(app, instance, found)
        marking.begin(instance)
        about.remember_code(app)
    except Exception as error:
        # A signal's receiver may not raise: Celery would log it and start a worker that nobody knows of.
        _end(os.getpid())
        raise SystemExit(f"celery: {_explained(error)}") from error
    # After a cold shutdown Celery sends no `worker_shutdown`.
    _at_exit = atexit.register(partial(_end, os.getpid()))
    ending.keep_what_is_imported()


def _taken_from(app: Celery) -> list[str]:
    return list(app.amqp.queues.consume_from)


def _explained(error: Exception) -> str:
    if isinstance(error, CeleriacError):
        return str(error)
    if not isinstance(error, Error | BrokerConnectionLost | BrokerRefused):
        logger.error("What the worker does at its start failed.", exc_info=error)
        return f"The worker cannot start: {error!r}."
    return f"The worker cannot start. {failures.first_line(error)}"


def _start(app: Celery, instance: Any, found: preflight.Preflight) -> None:
    storing.this_is_a_worker()
    if found.results_alias is not None:
        flushing.start(found.broker_alias, found.results_alias)
        received.connect()
    if found.broker_alias is None:
        compression.bound_kombus()
    given_up.connect(app, instance.hostname)
    if scheduling.is_asked_for(instance):
        scheduling.start(app)
    if (outbox := found.outbox_alias or scheduling.relay_alias(app)) is not None:
        relay.start(app, outbox)
    housekeeping.start(app)
    notifying.connect()
    for fault in server_settings.faults(app):
        logger.warning("%s", fault)


def _begin_child(**_: Any) -> None:
    storing.this_is_a_worker()


def _end_worker(**_: Any) -> None:
    _end(os.getpid())


def _end(process: int) -> None:
    """Write what is finished, give back what is not, say farewell; may be called twice."""
    if process != os.getpid():
        return  # A child of the pool has inherited the callback, not the worker.
    # Once is enough: where the database is locked, each step takes its time.
    atexit.unregister(_at_exit)
    scheduling.stop()
    housekeeping.stop()
    relay.stop()
    received.disconnect()
    flushing.stop()
    reaper.before_losing.pop(_UID, None)
    reaper.losing.pop(_UID, None)
    reaper.closing.pop(_UID, None)
    writer.stop()
    storing.end()
    deliveries.close_all()
    presence.end_all()
    notifying.end()
    marking.end()


def _pool_name(worker: Any) -> str:
    pool = worker.pool_cls
    module = pool if isinstance(pool, str) else pool.__module__
    name = str(module.rpartition(".")[2].partition(":")[0])
    # As `--pool` has it; the module of Celery is called otherwise.
    return "threads" if name == "thread" else name
