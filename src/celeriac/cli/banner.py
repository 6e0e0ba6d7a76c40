"""The banner of `celery start`: broker, results, pool, queues, tasks, each with its reason."""

import platform as python_platform
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import celery
import django
from celery import Celery
from django.db import connections

from celeriac import __version__, discovery
from celeriac.schedule import settings_entries
from celeriac.worker import pool_size, scheduling
from celeriac.worker.platform import Decision
from celeriac.worker.preflight import Preflight

_MOST_FILES = 3


def lines(
    app: Celery, worker: Any, found: Preflight, decision: Decision, *, is_watched: bool = False
) -> Iterator[str]:
    """The banner, a line at a time."""
    yield (
        f"Celeriac {__version__} · Celery {celery.__version__} · Django {django.get_version()}"
        f" · Python {python_platform.python_version()}"
    )
    yield f"node     {worker.hostname}"
    yield f"broker   {_broker(app, found)}"
    if found.switched_to_wal:
        yield "         switched the SQLite file to WAL: readers and the writer no longer wait for each other"
    yield f"results  {_results(app, found)}"
    yield f"pool     {decision.pool} × {_size(worker, decision.pool)} ({decision.reason})"
    yield f"queues   {', '.join(app.amqp.queues.consume_from)}"
    yield f"schedule {_schedule(app, worker)}"
    names = sorted(name for name in app.tasks if not name.startswith("celery."))
    yield f"tasks    {len(names)}{': ' + _short(names) if names else _no_tasks()}"
    yield from _doubtful()
    if find_spec("flower") is not None:
        yield "flower   is installed: manage.py celery flower"
    if is_watched:
        yield "reload   when code changes (--no-reload: never)"
    yield "Ctrl-C: finish the running tasks; again: stop now"


def _size(worker: Any, pool: str) -> str:
    least, most = pool_size.bounds(worker, pool)
    return str(most) if least == most else f"{least}–{most}"


def _broker(app: Celery, found: Preflight) -> str:
    if found.broker_alias is None:
        return str(app.connection_for_read().as_uri())
    reason = "" if found.broker_alias != "default" else ", as CELERY_BROKER_URL names no other"
    return f"database {found.broker_alias!r} ({_server(found.broker_alias)}{reason})"


def _results(app: Celery, found: Preflight) -> str:
    if found.results_alias is None:
        return str(app.backend.as_uri())
    return f"django-db, database {found.results_alias!r} ({_server(found.results_alias)})"


def _schedule(app: Celery, worker: Any) -> str:
    if scheduling.is_asked_for(worker):
        count = len(list(settings_entries.entries(app)))
        return f"in this worker: {count} of the settings, and those of the table (manage.py celery schedule)"
    if getattr(worker, "beat", None) is not None:
        return f"in this worker, by {worker.scheduler}"
    if (named := scheduling.named_elsewhere(app)) is not None:
        return f"left to {named}, as CELERY_BEAT_SCHEDULER says (--beat starts it here)"
    return "not in this worker"


def _server(alias: str) -> str:
    connection = connections[alias]
    version = ".".join(map(str, connection.get_database_version()))
    if connection.vendor == "mysql":
        name = "MariaDB" if connection.mysql_is_mariadb else "MySQL"  # type: ignore[attr-defined]  # of Django's MySQL wrapper
    else:
        name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    wake = ", LISTEN/NOTIFY" if connection.vendor == "postgresql" else ""
    return f"{name} {version}{wake}"


def _short(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, … (all: manage.py celery discovered)"


def _doubtful() -> Iterator[str]:
    """A line for each file in which no task was seen: this worker would not know its messages."""
    files = [file for file in discovery.scan() if file.is_doubtful]
    for file in files[:_MOST_FILES]:
        yield f"         left out {file.shown}: {file.reason}"
    if len(files) > _MOST_FILES:
        yield f"         left out {len(files) - _MOST_FILES} more: manage.py celery discovered"


def _no_tasks() -> str:
    return ". None found: see manage.py celery discovered"
