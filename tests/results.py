"""What tests of results share: results in one database, an app that stores them there, and requests."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.app.task import Context
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu import pools

from celeriac import publisher
from celeriac.database.inserting import insert_all
from celeriac.models import TaskRecord
from celeriac.results import publishing
from celeriac.results.upsert import Write
from tests.databases import told_of_statements

BACKEND = "celeriac.results.backend:DatabaseBackend"


class Everything:
    """A database router that sends every model to one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self.alias

    db_for_write = db_for_read


@contextmanager
def results_in(alias: str) -> Iterator[str]:
    """Keep results in the database with this alias."""
    with override_settings(DATABASE_ROUTERS=[Everything(alias)]):
        yield alias


def make_app(**conf: Any) -> Celery:
    """An app of its own whose results are ours; its messages stay in memory."""
    app = Celery("results", broker="memory://", backend=BACKEND, set_as_current=False)
    app.conf.update({"result_extended": True, "task_track_started": True, **conf})
    return app


@contextmanager
def current(app: Celery) -> Iterator[Celery]:
    """Make it Celery's current app for a while."""
    from celery import _state

    before = _state._tls.current_app
    app.set_current()
    try:
        yield app
    finally:
        _state._tls.current_app = before


@contextmanager
def publishing_app(alias: str, broker_url: str = "") -> Iterator[Celery]:
    """An app with results in this database, and messages unless a broker is named; publishes as projects."""
    with results_in(alias):
        made = make_app(broker_url=broker_url or f"django://{alias}")
        publisher.install(made)
        with current(made):
            yield made
            # kombu keeps them for the process, by their URL.
            pools.reset()


@contextmanager
def embedded_worker(app: Celery) -> Iterator[None]:
    """A worker in a thread of this process; what Celery does to the process at its start is undone."""
    from celery import _state, signals
    from celery.contrib.testing.worker import start_worker

    def keep_logging(**_: Any) -> None:
        """With a receiver here Celery sets no handlers and no level, and leaves the standard streams."""

    default, environment = _state.default_app, dict(os.environ)
    signals.setup_logging.connect(keep_logging)
    try:
        with warnings.catch_warnings(), current(app), start_worker(app, perform_ping_check=False):
            yield
    finally:
        signals.setup_logging.disconnect(keep_logging)
        logging.captureWarnings(False)
        os.environ.clear()
        os.environ.update(environment)
        _state.set_default_app(default)


def mark(task_id: str, status: str, **known: Any) -> Write:
    return Write(
        task_id=task_id, status=status, content_type="application/json", content_encoding="utf-8", **known
    )


def context(task_id: str, **known: Any) -> Context:
    """The request of a running task."""
    given = {
        "id": task_id,
        "task": "shop.pay",
        "argsrepr": "(1,)",
        "kwargsrepr": "{'a': 2}",
        "hostname": "w@h",
    }
    return Context({**given, "delivery_info": {}, **known})


def row(alias: str, task_id: str) -> TaskResult:
    return TaskResult.objects.using(alias).get(task_id=task_id)


def record(alias: str, task_id: str) -> TaskRecord:
    return TaskRecord.objects.using(alias).get(task_id=task_id)


@contextmanager
def counted_queries(alias: str) -> Iterator[list[str]]:
    """The statements of the thread's connection, in the order they ran."""
    statements: list[str] = []
    with told_of_statements(connections[alias], lambda sql, _: statements.append(sql)):
        yield statements


def minutes_ago(minutes: float) -> Any:
    return timezone.now() - timezone.timedelta(minutes=minutes)


def publish_row(alias: str, write: Write) -> None:
    """Write a row in PENDING as a publisher does."""
    connection = connections[alias]
    inserts = publishing.inserts(connection, [publishing.pending_row(connection, write)], [])
    insert_all(connection, inserts, row_bytes=1000)


def publish_record(alias: str, task_id: str, name: str = "t", **known: Any) -> None:
    """Write the record of a task as its publisher does."""
    connection = connections[alias]
    row = publishing.record_row(connection, TaskRecord(task_id=task_id, task_name=name, **known))
    insert_all(connection, publishing.inserts(connection, [], [row]), row_bytes=1000)
