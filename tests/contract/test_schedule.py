"""F28, the schedule: each due time is one tick and one task, whoever carries it and whatever breaks."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from celery import signals
from celery.beat import BeatLazyFunc
from celery.schedules import crontab
from django.db import Error, connections, transaction
from django.test import override_settings
from django_celery_results.models import TaskResult

from celeriac.broker import clock
from celeriac.models import Message, Outbox, Schedule, ScheduleOrder, ScheduleState, TaskRecord, Tick
from celeriac.schedule import overview, ticks
from celeriac.schedule import states as state_rows
from celeriac.schedule.entries import Entry
from celeriac.worker import scheduling
from tests import outbox
from tests.broker import wait_until
from tests.scheduling import (
    HOUR,
    SECOND,
    everything_in,
    fired,
    look_again,
    make_app,
    make_due,
    running,
    scheduler,
    set_due,
    states,
    turn,
)


@pytest.fixture
def database(alias):
    with everything_in(alias):
        yield alias


@pytest.fixture
def one(default_alias):
    with everything_in(default_alias):
        yield default_alias


def hourly(**more):
    return {"task": "tests.note", "schedule": HOUR, **more}


def enter(**fields):
    return Schedule.objects.create(**{"name": "row", "task": "tests.note", "every": HOUR, **fields})


def app_of(alias, **entries):
    return make_app(f"django://{alias}", **entries)


def test_a_due_time_is_a_tick_and_a_task_with_what_beat_gives_it(database):
    entry = hourly(args=(1,), kwargs={"x": 2}, options={"queue": "mails", "priority": 7, "expires": 60})
    app = app_of(database, hourly=entry)
    with scheduler(app) as made:
        due = make_due(database, "hourly")
        look_again(made)
        (pause,) = turn(made)

    tick = Tick.objects.using(database).get()
    message = Message.objects.using(database).get()
    assert (tick.name, tick.due, tick.fault) == ("hourly", due, "")
    assert (message.task_id, message.queue) == (tick.task_id, "mails")
    assert TaskResult.objects.using(database).get().task_id == tick.task_id
    assert TaskRecord.objects.using(database).get().priority == 7
    exact = json.loads(message.payload)
    assert exact["headers"]["periodic_task_name"] == "hourly"
    assert exact["headers"]["celery_beat_task"] is True
    state = states(database, "hourly").get()
    assert (state.last_due, state.last_task_id) == (due, tick.task_id)
    assert state.next_due == state.anchor + 3600 * SECOND
    assert 0 < pause <= 5


def test_of_many_schedulers_one_fires(database):
    app = app_of(database, hourly=hourly())
    with scheduler(app) as first, scheduler(app) as second, scheduler(app) as third:
        expected = []
        for _ in range(5):
            expected.append(make_due(database, "hourly"))
            look_again(first, second, third)
            turn(first, second, third)
            # Who was refused by a busy file comes again.
            turn(first, second, third)

    assert fired(database, "hourly") == expected
    assert Message.objects.using(database).count() == 5


def test_schedulers_that_run_fire_each_time_once_and_without_drift(database):
    app = app_of(database, quick={"task": "tests.note", "schedule": 0.2, "catch_up": "all"})
    with running(app), running(app), running(app):
        wait_until(lambda: len(fired(database, "quick")) >= 15, "it fires")

    due = fired(database, "quick")
    assert due == list(range(due[0], due[0] + len(due) * SECOND // 5, SECOND // 5))
    ids = Tick.objects.using(database).values_list("task_id", flat=True)
    assert sorted(ids) == sorted(Message.objects.using(database).values_list("task_id", flat=True))


def test_a_tick_and_its_task_are_there_together_or_not_at_all(database, monkeypatch):
    app = app_of(database, hourly=hourly())
    with scheduler(app) as made:
        due = make_due(database, "hourly")
        look_again(made)

        def publish_and_die(*given):
            publish(*given)
            raise Error("the connection is lost behind the publish")

        publish = ticks.publish
        with monkeypatch.context() as patched:
            patched.setattr(ticks, "publish", publish_and_die)
            turn(made)
        assert (fired(database, "hourly"), Message.objects.using(database).count()) == ([], 0)
        look_again(made)
        turn(made)

    assert fired(database, "hourly") == [due]
    assert Message.objects.using(database).count() == 1


def test_who_stands_still_while_it_fires_holds_up_nobody_elses_entry(database):
    if not connections[database].features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer, and its transactions here are short")
    app = app_of(database, held=hourly(), free=hourly())
    with scheduler(app) as made:
        make_due(database, "held")
        free = make_due(database, "free")
        look_again(made)
        with transaction.atomic(using=database):
            states(database, "held").select_for_update().get()
            turn(made)
            assert fired(database, "free") == [free]
        assert fired(database, "held") == []
        turn(made)

    assert len(fired(database, "held")) == 1


def test_who_is_about_to_stop_fires_nothing_more(database):
    app = app_of(database, hourly=hourly())
    with scheduler(app) as ending, scheduler(app) as other:
        due = make_due(database, "hourly")
        look_again(ending, other)

        ending.rest()
        turn(ending)
        assert fired(database, "hourly") == []

        turn(other)
        assert fired(database, "hourly") == [due]


def test_the_word_to_stop_lets_the_schedule_rest(one, monkeypatch):
    with scheduler(app_of(one, hourly=hourly())) as made:
        scheduling.connect()
        monkeypatch.setattr(scheduling, "_scheduler", made)
        make_due(one, "hourly")
        look_again(made)

        signals.worker_shutting_down.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)

        turn(made)
        assert fired(one, "hourly") == []


def test_two_versions_of_an_entry_fire_a_due_time_once(database):
    """Workers of the old and the new code, in a deployment."""
    old = app_of(database, entry={"task": "tests.note", "schedule": crontab(0, 3)})
    new = app_of(database, entry={"task": "tests.note", "schedule": crontab(0, "3,15")})
    with scheduler(old) as first, scheduler(new) as second:
        due = clock.now()
        assert states(database, "entry").update(next_due=due) == 2
        look_again(first, second)
        turn(first, second)
        turn(first, second)

    assert fired(database, "entry") == [due]


def test_due_times_are_by_the_clock_of_the_database(alias, monkeypatch):
    if alias == "default":
        pytest.skip("SQLite's clock is the host's")
    with everything_in(alias), scheduler(app_of(alias, hourly=hourly())) as made:
        right = make_due(alias, "hourly", seconds_ago=-60)
        late_host = clock.now

        # Ten minutes ahead: by this host's clock it would be due.
        monkeypatch.setattr(clock, "now", lambda: late_host() + 600 * SECOND)
        look_again(made)
        turn(made)
        assert fired(alias, "hourly") == []
        set_due(alias, "hourly", right - 120 * SECOND)
        look_again(made)
        turn(made)

    assert fired(alias, "hourly") == [right - 120 * SECOND]


def test_what_was_missed_while_nobody_ran_is_caught_up_by_the_policy(one):
    entries = {
        policy: {"task": "tests.note", "schedule": 10.0, "catch_up": policy} for policy in ("once", "all")
    }
    entries["skip"] = hourly(catch_up="skip")
    app = app_of(one, **entries)
    with scheduler(app):
        for name in entries:
            make_due(one, name, seconds_ago=95)
        ScheduleState.objects.update(anchor=states(one, "all").get().next_due)

    with scheduler(app) as later:
        turn(later)

    assert len(fired(one, "once")) == 1
    assert len(fired(one, "all")) == 10
    assert fired(one, "skip") == []
    assert {state.next_due > clock.now() for state in ScheduleState.objects.all()} == {True}


def test_rows_of_the_table_come_go_and_change(database):
    app = app_of(database)
    with scheduler(app) as made:
        row = enter(args=[1], queue="mails")
        look_again(made)
        turn(made)
        anchor = states(database, "row").get().anchor
        due = make_due(database, "row")
        look_again(made)
        turn(made)
        assert fired(database, "row") == [due]
        assert Message.objects.using(database).get().queue == "mails"

        # Another time: it begins anew. Other arguments: it does not.
        row.args = [2]
        row.save()
        turn_with_look(made)
        assert states(database, "row").get().anchor == anchor
        row.every = 2 * HOUR
        row.save()
        turn_with_look(made)
        assert states(database, "row").get().anchor > anchor

        row.is_enabled = False
        row.save()
        turn_with_look(made)
        assert not states(database, "row").exists()


def turn_with_look(*schedulers):
    look_again(*schedulers)
    turn(*schedulers)


def test_the_version_alone_is_read_while_nothing_changes(one):
    with scheduler(app_of(one)) as made:
        made._look_at = 0.0
        enter()
        turn(made)
        assert states(one, "row").exists(), "a new row is seen by the look"


def test_what_is_saved_by_a_host_whose_clock_is_behind_is_seen_by_the_look(one):
    with scheduler(app_of(one)) as made:
        row = enter()
        enter(name="other")
        Schedule.objects.filter(name="other").update(changed_at=datetime.now(UTC) + HOUR)
        turn_with_look(made)
        anchor = states(one, "row").get().anchor
        row.every = 2 * HOUR
        row.save()
        made._look_at = 0.0
        turn(made)

    assert states(one, "row").get().anchor > anchor


def test_a_one_off_entry_fires_once_and_is_disabled(database):
    with scheduler(app_of(database)) as made:
        enter(is_one_off=True)
        enter(name="moment", every=None, at=datetime.now(UTC) - timedelta(seconds=1))
        turn_with_look(made)
        make_due(database, "row")
        turn_with_look(made)
        turn_with_look(made)
        turn_with_look(made)

    assert (len(fired(database, "row")), len(fired(database, "moment"))) == (1, 1)
    assert not Schedule.objects.filter(is_enabled=True).exists()


def test_a_row_hides_the_entry_of_the_settings_with_its_name(one):
    with scheduler(app_of(one, row=hourly())) as made:
        made_by_settings = states(one, "row").get().fingerprint
        enter(is_enabled=False)
        make_due(one, "row")
        turn_with_look(made)
        assert fired(one, "row") == []
        Schedule.objects.all().delete()
        turn_with_look(made)

    assert states(one, "row").get().fingerprint == made_by_settings


def test_nothing_is_due_outside_of_start_and_end(database):
    now = datetime.now(UTC)
    with scheduler(app_of(database)) as made:
        enter(name="later", starts_at=now + HOUR)
        enter(name="over", ends_at=now - HOUR)
        turn_with_look(made)

    assert states(database, "later").get().next_due == clock.parse(now + HOUR)
    assert states(database, "over").get().next_due is None
    assert not Tick.objects.using(database).exists()


def test_a_row_has_its_own_time_zone(one):
    with scheduler(app_of(one)) as made:
        enter(every=None, cron="0 9 * * *", time_zone="Asia/Tokyo")
        enter(name="here", every=None, cron="0 9 * * *")
        turn_with_look(made)

    def hour(name):
        due = states(one, name).get().next_due
        return datetime.fromtimestamp(due / SECOND, UTC).hour

    assert hour("row") == 0
    assert hour("here") in {7, 8}


def test_a_paused_entry_fires_nothing_and_nothing_is_made_up_for(database):
    app = app_of(database, hourly=hourly(catch_up="all"))
    with scheduler(app) as made:
        ScheduleOrder.objects.using(database).create(name="hourly", is_paused=True)
        make_due(database, "hourly")
        turn_with_look(made)
        assert not Tick.objects.using(database).exists()
        assert states(database, "hourly").get().next_due > clock.now()
        ScheduleOrder.objects.using(database).update(is_paused=False)
        due = make_due(database, "hourly")
        turn_with_look(made)

    assert fired(database, "hourly") == [due]


def test_the_next_one_is_skipped_and_no_more(database):
    app = app_of(database, hourly=hourly())
    with scheduler(app) as made:
        ScheduleOrder.objects.using(database).create(name="hourly", skips=1)
        skipped = make_due(database, "hourly", seconds_ago=1)
        turn_with_look(made)
        due = make_due(database, "hourly")
        turn_with_look(made)

    assert fired(database, "hourly") == [due]
    assert Tick.objects.using(database).get(due=skipped).fault == "skipped"
    assert ScheduleOrder.objects.using(database).get().skips == 0


def test_an_entry_that_cannot_be_published_holds_up_no_other(database, caplog):
    bad = hourly(args=(object(),))
    app = app_of(database, bad=bad, good=hourly(), **{"": hourly()}, odd={"task": "t", "schedule": "daily"})
    with scheduler(app) as made, caplog.at_level(logging.INFO):
        make_due(database, "bad", seconds_ago=1)
        due = make_due(database, "good")
        turn_with_look(made)
        assert fired(database, "good") == [due]
        assert states(database, "bad").get().next_due > clock.now()

    tick = Tick.objects.using(database).get(name="bad")
    assert tick.task_id is None
    assert "object" in tick.fault
    assert "Schedule bad: tests.note could not be published" in caplog.text
    assert Message.objects.using(database).count() == 1


def test_entries_that_are_gone_are_forgotten_when_nobody_has_them(one):
    now = clock.now()
    with scheduler(app_of(one, gone=hourly(), kept=hourly())):
        states(one, "gone").update(seen_at=now - state_rows.GONE_AFTER - 1)
        states(one, "kept").update(seen_at=now - state_rows.GONE_AFTER - 1)
    with scheduler(app_of(one, kept=hourly())) as later:
        assert states(one, "gone").exists(), "who has just started does not know who else there is"
        later._started_at -= 601
        turn_with_look(later)

    assert not states(one, "gone").exists()
    assert states(one, "kept").get().seen_at > now - SECOND


def test_entries_of_celery_are_read_as_celery_reads_them(one):
    app = app_of(one, entry={"task": "tests.note", "schedule": 30, "relative": True})
    app.add_periodic_task(crontab(0, 4), app.tasks["tests.note"].s(1), name="added")
    app.conf.result_expires = 3600
    app._backend_cache = app.backend
    with scheduler(app) as made:
        found = {each.name: each for each in made._book.read()}

    assert all(isinstance(each, Entry) for each in found.values())
    assert found["added"].args == (1,)
    assert {"entry", "added"} <= found.keys()


@pytest.mark.parametrize("is_on", [True, False], ids=["outbox", "no outbox"])
def test_with_another_broker_a_tick_and_its_task_meet_in_the_outbox(alias, redis_url, is_on):
    with outbox.outbox_in(alias), override_settings(CELERIAC={"OUTBOX": is_on, "POLL_SECONDS": 0.05}):
        app = make_app(redis_url, hourly=hourly())
        outbox.leave_to_workers(app)
        with scheduler(app) as made:
            make_due(alias, "hourly")
            turn_with_look(made)
        tick = Tick.objects.using(alias).get()
        assert Outbox.objects.using(alias).get().task_id == tick.task_id
        assert outbox.is_empty(app)
        with outbox.relaying(app, alias):
            assert [each.headers["id"] for each in outbox.received(app)] == [tick.task_id]
            wait_until(lambda: outbox.waiting(alias) == 0, "it has gone")
        outbox.close()


def test_an_entry_at_which_the_database_fails_each_time_holds_up_no_other(one):
    def ask():
        with connections[one].cursor() as cursor:
            cursor.execute("SELECT gone FROM somewhere")

    app = app_of(one, bad=hourly(args=(BeatLazyFunc(ask),)), good=hourly())
    with scheduler(app) as made:
        bad = make_due(one, "bad", seconds_ago=1)
        due = make_due(one, "good")
        turn_with_look(made)
        turn(made)

    assert fired(one, "good") == [due]
    assert states(one, "bad").get().next_due == bad


def test_what_was_due_at_an_error_does_not_wait_for_the_next_look(one, monkeypatch):
    with scheduler(app_of(one, hourly=hourly())) as made:
        due = make_due(one, "hourly")
        look_again(made)
        with monkeypatch.context() as patched:
            patched.setattr(made, "_fire_due", lambda: None)
            turn(made)
        rows = state_rows.rows
        with monkeypatch.context() as patched:
            patched.setattr(state_rows, "rows", lambda _: rows("nowhere"))
            turn(made)
        turn(made)

    assert fired(one, "hourly") == [due]


@pytest.mark.parametrize(
    "fields",
    [
        {"every": None, "cron": "0 9 * * *", "starts_at": datetime(9999, 12, 31, 23, tzinfo=UTC)},
        {"every": None, "at": datetime(9999, 12, 31, 23, 59, tzinfo=UTC)},
        {"every": timedelta(days=3_000_000)},
    ],
    ids=["cron", "at", "every"],
)
def test_an_entry_beyond_the_calendar_is_left_out_and_holds_up_no_other(one, caplog, fields):
    with scheduler(app_of(one, hourly=hourly())) as made:
        enter(**fields)
        due = make_due(one, "hourly")
        turn_with_look(made)

    assert fired(one, "hourly") == [due]
    assert "Schedule row is left out" in caplog.text
    assert [line.state for line in overview.lines(made._app, one)] == ["on", "faulty"]


def test_a_step_of_the_hosts_clock_lets_nothing_fire_early(one, monkeypatch):
    with scheduler(app_of(one, hourly=hourly())) as made:
        before = clock.now
        monkeypatch.setattr(clock, "now", lambda: before() + 2 * 3600 * SECOND)
        turn(made)

    assert fired(one, "hourly") == []
