"""What tests of the schedule share: an app with entries, schedulers in turn, and what they have fired."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import Celery
from django.db import connections

from celeriac import publisher
from celeriac.app import adopt
from celeriac.broker import clock
from celeriac.models import ScheduleState, Tick
from celeriac.schedule.scheduler import Scheduler
from tests.broker import process_of_its_own
from tests.results import BACKEND, results_in

SECOND = clock.MICROSECONDS
#: So late that no test meets it by itself.
HOUR = timedelta(hours=1)


def make_app(url: str, **entries: Any) -> Celery:
    """An app that publishes through us, with these entries and no clean-up of results."""
    app = Celery("schedule", broker=url, backend=BACKEND, fixups=(), set_as_current=False)
    app.conf.update(beat_schedule=entries, result_expires=None, timezone="Europe/Berlin")
    adopt(app)
    publisher.install(app)

    @app.task(name="tests.note", shared=False)
    def note(*_: Any, **__: Any) -> None:
        """Never runs."""

    return app


@contextmanager
def everything_in(alias: str) -> Iterator[str]:
    """Messages, results and schedule in this database, as a process of its own has them."""
    with process_of_its_own(), results_in(alias):
        yield alias


def turn(*schedulers: Scheduler) -> list[float]:
    """A turn of each, at once, each in a thread of its own as in a worker; how long each would pause."""
    pauses: list[float] = []

    def one(scheduler: Scheduler) -> None:
        try:
            pauses.append(scheduler._turn())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=(each,)) for each in schedulers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pauses) == len(schedulers)
    return pauses


@contextmanager
def scheduler(app: Celery) -> Iterator[Scheduler]:
    """One that has looked, and whose thread does not run."""
    made = Scheduler(app)
    try:
        turn(made)
        yield made
    finally:
        for session in made._sessions.values():
            session.close()


@contextmanager
def running(app: Celery) -> Iterator[Scheduler]:
    """One whose thread runs."""
    made = Scheduler(app)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def look_again(*schedulers: Scheduler) -> None:
    """Let the next turn read everything."""
    for each in schedulers:
        each._look_at = each._book._all_at = 0.0


def make_due(alias: str, name: str, *, seconds_ago: float = 0.0) -> int:
    """Let the entry have become due so long ago; its due time."""
    due = clock.now() - clock.seconds(seconds_ago)
    set_due(alias, name, due)
    return due


def set_due(alias: str, name: str, due: int) -> None:
    """Let the entry be due at that moment, as if it had been there before."""
    before = states(alias, name).filter(anchor__gt=due).update(anchor=due, next_due=due)
    assert before + states(alias, name).exclude(next_due=due).update(next_due=due) == 1


def states(alias: str, name: str) -> Any:
    return ScheduleState.objects.using(alias).filter(name=name)


def fired(alias: str, name: str) -> list[int]:
    """The due times for which there is a tick with a task, in order."""
    found = Tick.objects.using(alias).filter(name=name, task_id__isnull=False).order_by("due")
    return list(found.values_list("due", flat=True))
