"""What tests of the outbox share: an app whose broker is no database, what it has sent, and a relay."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from django.db import connections
from django.test import override_settings
from kombu import pools

from celeriac import publisher
from celeriac.app import adopt
from celeriac.models import Outbox
from celeriac.publisher import outbox as publishing
from celeriac.worker.relay import Relay
from tests.broker import wait_until
from tests.results import BACKEND, results_in


@contextmanager
def outbox_in(alias: str) -> Iterator[None]:
    """The outbox is on, in this database, and every broker is held to be there."""
    publishing._away_until.clear()
    with results_in(alias), override_settings(CELERIAC={"OUTBOX": True, "POLL_SECONDS": 0.05}):
        try:
            yield
        finally:
            publishing._away_until.clear()


def make_app(url: str, **conf: Any) -> Celery:
    """An app that publishes through us, and a task of it that only has to be sent."""
    app = Celery("outbox", broker=url, backend=BACKEND, set_as_current=False)
    app.conf.update(conf)
    adopt(app)
    publisher.install(app)

    @app.task(name="tests.note", shared=False)
    def note(*_: Any) -> None:
        """Never runs."""

    return app


def leave_to_workers(app: Celery) -> None:
    """Let the publisher hold the broker for away."""
    publishing._away_until[app.main] = time.monotonic() + 3600


def waiting(alias: str) -> int:
    return Outbox.objects.using(alias).count()


def received(app: Celery, queue: str = "celery", count: int = 1) -> list[Any]:
    """So many messages from the broker, in order; kombu's."""
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[queue](connection.default_channel)
        bound.declare()
        return [
            wait_until(lambda: bound.get(no_ack=True), f"message {number + 1} of {count} is there")
            for number in range(count)
        ]


def is_empty(app: Celery, queue: str = "celery") -> bool:
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[queue](connection.default_channel)
        bound.declare()
        return bound.get(no_ack=True) is None


@contextmanager
def relaying(app: Celery, alias: str) -> Iterator[Relay]:
    """A worker's relay, in a thread of this process."""
    relay = Relay(app, alias)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()
        relay._session.close()


def timed(work: Callable[[], Any]) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def close() -> None:
    """End the connections of the pools, which an app with the same URL would be given again."""
    pools.reset()
    connections.close_all()
