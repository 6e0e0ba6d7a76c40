"""`celery beat` beside workers that carry the schedule: each due time is sent once, by whoever has it."""

import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from celery.beat import Scheduler as CelerysScheduler
from celery.schedules import crontab

from celeriac.broker import clock
from celeriac.cli import status
from celeriac.models import Message, Schedule, Worker
from celeriac.schedule import overview
from celeriac.selectors import schedules
from celeriac.worker import beat, scheduling
from tests.scheduling import (
    HOUR,
    SECOND,
    everything_in,
    fired,
    look_again,
    make_app,
    make_due,
    scheduler,
    states,
    turn,
)


@pytest.fixture
def database(alias):
    with everything_in(alias):
        yield alias


@pytest.fixture
def app(database):
    return make_app(f"django://{database}", hourly={"task": "tests.note", "schedule": HOUR})


class Beat:
    """Celery's own, without its sleep and its file."""

    def __init__(self, app, monkeypatch, **last_run_at):
        atexit = SimpleNamespace(register=lambda end: setattr(self, "end", end))
        monkeypatch.setattr(beat, "atexit", atexit)
        self.end = lambda: None
        self.scheduler = CelerysScheduler(app, lazy=True)
        self.scheduler.setup_schedule()
        for name, moment in last_run_at.items():
            self.scheduler.schedule[name].last_run_at = moment
        scheduling._on_beat(SimpleNamespace(app=app, scheduler=self.scheduler))

    def tick(self):
        """Send one entry that is due, if there is one."""
        self.scheduler.tick()

    def make_due(self, name):
        self.scheduler.schedule[name].last_run_at -= 2 * HOUR
        self.scheduler._heap = None


@pytest.fixture
def beats(app, monkeypatch):
    @contextmanager
    def begun(**last_run_at):
        made = Beat(app, monkeypatch, **last_run_at)
        try:
            yield made
        finally:
            made.end()

    return begun


def sent(alias):
    return Message.objects.using(alias).count()


def test_workers_leave_the_settings_to_it_and_keep_the_table(app, database, beats, caplog):
    Schedule.objects.create(name="row", task="tests.note", every=HOUR)
    with scheduler(app) as made, beats(), caplog.at_level(logging.WARNING):
        make_due(database, "hourly")
        make_due(database, "row")
        for _ in range(3):
            look_again(made)
            turn(made)

        assert (fired(database, "hourly"), len(fired(database, "row"))) == ([], 1)
        assert caplog.text.count("the entries of the settings are left to it") == 1


def test_a_beat_that_began_after_the_last_look_is_seen_in_time(app, database, beats):
    with scheduler(app) as made:
        due = make_due(database, "hourly")
        look_again(made)
        state = states(database, "hourly").get()
        made._states = {"hourly": state}
        made._look_at = float("inf")
        with beats():
            turn(made)

            assert (fired(database, "hourly"), sent(database)) == ([], 0)
            assert states(database, "hourly").get().next_due == due


def test_what_it_sends_is_noted_and_made_up_for_by_nobody(app, database, beats):
    with scheduler(app) as made:
        with beats() as running:
            make_due(database, "hourly")
            running.make_due("hourly")
            running.tick()
            assert sent(database) == 1
            state = states(database, "hourly").get()
            assert state.last_task_id == Message.objects.using(database).get().task_id
            assert state.next_due - state.anchor == 3600 * SECOND
        look_again(made)
        turn(made)
        assert (sent(database), fired(database, "hourly")) == (1, [])


@pytest.mark.parametrize("is_killed", [False, True])
def test_when_it_has_ended_workers_make_up_for_what_it_did_not_send(app, database, beats, caplog, is_killed):
    with scheduler(app) as made, beats() as running:
        look_again(made)
        turn(made)
        due = make_due(database, "hourly", seconds_ago=30)
        if is_killed:
            # As whoever looks at the locks marks it.
            Worker.objects.using(database).update(is_lost=True)
        else:
            running.end()
        look_again(made)
        with caplog.at_level(logging.WARNING):
            turn(made)

        assert (fired(database, "hourly"), sent(database)) == ([due], 1)
        assert "has ended: workers carry its entries again" in caplog.text


def test_what_workers_have_fired_before_it_begins_is_not_due_for_it(database, monkeypatch):
    minute = crontab(minute="*")
    app = make_app(f"django://{database}", each={"task": "tests.note", "schedule": minute})
    with scheduler(app) as made:
        make_due(database, "each")
        look_again(made)
        turn(made)
        assert sent(database) == 1
        # As its file has it, from before it was stopped.
        running = Beat(app, monkeypatch, each=datetime.now(UTC) - timedelta(days=1))
        try:
            last = running.scheduler.schedule["each"].last_run_at
            state = states(database, "each").get()
            assert abs(last.timestamp() * SECOND - state.last_fired_at) < SECOND
        finally:
            running.end()


def test_a_beat_that_was_held_for_lost_does_not_send_what_others_have(app, database, beats):
    with scheduler(app) as made, beats() as running:
        # It stood still: others hold it for lost, and it does not know yet.
        Worker.objects.using(database).update(is_lost=True)
        make_due(database, "hourly")
        look_again(made)
        turn(made)
        assert sent(database) == 1

        running.make_due("hourly")
        running.tick()
        assert sent(database) == 1

        running.make_due("hourly")
        running.tick()
        assert sent(database) == 2


def test_a_row_that_nobody_can_find_dead_counts_for_a_minute(app, database):
    now = clock.now()
    row = {"host": "h", "pid": 1, "started_at": now, "node": "celerybeat@h:1"}
    Worker.objects.using(database).create(**row, beaten_at=now - clock.seconds(90))
    with scheduler(app) as made:
        due = make_due(database, "hourly")
        look_again(made)
        turn(made)
        assert fired(database, "hourly") == [due]

        # Behind an outage it has been silent as all have.
        make_due(database, "hourly")
        made._away_at = time.monotonic()
        look_again(made)
        turn(made)
        assert fired(database, "hourly") == [due]


def test_the_list_and_the_status_say_so(app, database, beats):
    with scheduler(app), beats():
        (line,) = overview.lines(app, database)
        assert line.state == "left to beat"
        found = schedules.outlook(app)
        assert found is not None
        assert found.beat is not None
        assert "left to `celery beat`" in status._schedule(found)
    (line,) = overview.lines(app, database)
    assert (line.state, schedules.outlook(app).beat) == ("on", None)
