"""`-B` of a worker means: with the scheduler. That is ours, unless the project or the command names another.

Celery would start a process with a beat of its own, of which there may be one only. Ours is a thread, and
any number of workers may have it. Where CELERY_BEAT_SCHEDULER or `--scheduler` names one, that is started.
"""

import logging
from typing import Any

from celery import Celery, signals
from django.db import Error, connections

from celeriac.database import failures
from celeriac.errors import TablesMissing
from celeriac.results.pending import results_alias
from celeriac.schedule import scheduler, table
from celeriac.schedule.scheduler import Scheduler
from celeriac.worker import beat, platform
from celeriac.worker.preflight import Preflight

logger = logging.getLogger(__name__)

_SETTING = "beat_scheduler"
#: On a worker that carries our scheduler.
_MARK = "celeriac_carries_the_schedule"


def connect() -> None:
    """Follow every worker and every beat of this process; may be called twice."""
    signals.celeryd_init.connect(_take_over, dispatch_uid="celeriac.scheduling")
    signals.worker_shutting_down.connect(_rest, dispatch_uid="celeriac.scheduling.rest")
    signals.beat_init.connect(_on_beat, dispatch_uid="celeriac.scheduling.beat")


def named_elsewhere(app: Celery) -> str | None:
    """The scheduler that the project's settings name, if they do."""
    return platform.chosen_in_settings(app, _SETTING)


def is_possible(app: Celery, found: Preflight) -> bool:
    """Whether there are tables for it: a project with RabbitMQ or Redis may have none, and needs none."""
    if not _has_database(app):
        return False
    if found.broker_alias is not None or found.results_alias is not None:
        return True
    try:
        return not _missing(app)
    except Error:
        # Nobody knows. Whoever has entries of its own waits for the database, and not for ever without them.
        return bool(app.conf.beat_schedule)


def is_asked_for(worker: Any) -> bool:
    """Whether this worker is to carry our scheduler."""
    return bool(getattr(worker, _MARK, False))


def _take_over(instance: Any, options: Any, **_: Any) -> None:
    """Before Celery makes the worker's parts: its beat would be one of them."""
    app = instance.app
    is_named = options.get("scheduler") or named_elsewhere(app)
    if not options.get("beat") or is_named or not _has_database(app):
        return
    setattr(instance, _MARK, True)
    prepare = instance.prepare_args
    instance.prepare_args = lambda **given: {**prepare(**given), "beat": False}


def _has_database(app: Celery) -> bool:
    return not connections.settings[scheduler.alias_of(app)]["ENGINE"].endswith(".dummy")


def _on_beat(sender: Any, **_: Any) -> None:
    app = sender.app
    is_beside_us = named_elsewhere(app) is None and _has_database(app)
    beat.follow(app, sender.scheduler, is_beside_us=is_beside_us)


#: The one of this process. Set by the main thread only.
_scheduler: Scheduler | None = None


def start(app: Celery) -> None:
    """Carry the schedule while the worker lives. Raises TablesMissing."""
    global _scheduler
    stop()
    try:
        missing = _missing(app)
    except Error as error:
        logger.warning("The schedule waits for its database: %s", failures.first_line(error))
        missing = []
    for alias in missing:
        raise TablesMissing(failures.tables_missing(alias))
    _scheduler = Scheduler(app)
    _scheduler.start()


def _missing(app: Celery) -> list[str]:
    """The databases without our tables."""
    wanted = ((scheduler.alias_of(app), "celeriac_tick"), (table.alias(), "celeriac_schedule"))
    return [alias for alias, name in wanted if name not in connections[alias].introspection.table_names()]


def _rest(**_: Any) -> None:
    """The worker finishes its tasks: what is due from now on is for others, or for later."""
    if _scheduler is not None:
        _scheduler.rest()


def relay_alias(app: Celery) -> str | None:
    """The database whose outbox the scheduler publishes to; None: it publishes to a database, or nothing."""
    return results_alias() if _scheduler is not None and scheduler.is_by_outbox(app) else None


def stop() -> None:
    """May be called twice."""
    global _scheduler
    if _scheduler is not None:
        _scheduler.stop()
        _scheduler = None


def is_running() -> bool:
    """Whether this process carries the schedule."""
    return _scheduler is not None
