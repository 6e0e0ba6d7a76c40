"""`manage.py celery schedule` and `import-beat`: what they say, and what they change."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections, models

from celeriac.cli import importing_beat, scheduling
from celeriac.errors import CeleriacError
from celeriac.models import Message, Schedule, ScheduleOrder
from celeriac.schedule import importing
from tests.scheduling import HOUR, everything_in, make_app, make_due, scheduler, turn


@pytest.fixture
def database(default_alias):
    with everything_in(default_alias):
        yield default_alias


@pytest.fixture
def app(database):
    entry = {"task": "tests.note", "schedule": HOUR, "args": (1,)}
    return make_app(f"django://{database}", hourly=entry)


@pytest.fixture
def run(app, capsys):
    """Run `celery schedule` with these words: its exit code, and the lines or the document it printed."""

    def command(*words):
        code = scheduling.COMMAND.run(app, list(words))
        printed = capsys.readouterr().out
        return code, json.loads(printed) if "--json" in words else printed.splitlines()

    return command


def enter(**fields):
    return Schedule.objects.create(**{"name": "row", "task": "tests.note", "every": HOUR, **fields})


def test_the_list_is_tabs_in_a_pipe(run):
    enter(every=None, cron="0 9 * * *", time_zone="Asia/Tokyo")
    code, lines = run()

    assert code == 0
    hourly, row = (line.split("\t") for line in lines)
    assert hourly == ["hourly", "on", "-", "-", "every 3600 s", "tests.note", "settings"]
    assert row[:2] == ["row", "on"]
    assert row[2].endswith("09:00:00+09:00")
    assert row[3:] == ["-", "cron 0 9 * * * (Asia/Tokyo)", "tests.note", "table"]


def test_the_list_is_a_document_for_machines(run, app, database):
    enter(is_enabled=False)
    with scheduler(app) as made:
        make_due(database, "hourly")
        made._look_at = 0.0
        turn(made)
    code, found = run("--json")

    assert code == 0
    hourly, row = found
    assert set(hourly) == {
        "name", "task", "source", "state", "schedule", "time_zone", "catch_up",
        "next_due", "last_due", "last_run", "last_task_id", "fault",
    }  # fmt: skip
    assert hourly["last_task_id"] == Message.objects.using(database).get().task_id
    assert datetime.fromisoformat(hourly["next_due"]) > datetime.now(UTC)
    assert row["state"] == "disabled"
    assert run("list", "row", "--json")[1] == [row]


def test_another_scheduler_of_the_settings_has_what_ours_would_fire(run, app):
    enter(is_enabled=False)
    app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"

    code, lines = run()

    assert code == 0
    assert [line.split("\t")[1:3] for line in lines] == [
        ["left to CELERY_BEAT_SCHEDULER", "-"],
        ["disabled", "-"],
    ]


def test_an_entry_that_cannot_be_scheduled_is_a_problem(run, app):
    app.conf.beat_schedule["odd"] = {"task": "tests.note", "schedule": "daily"}
    code, found = run("--json")

    assert code == 1
    assert [(each["name"], each["state"]) for each in found] == [("hourly", "on"), ("odd", "faulty")]
    assert found[1]["fault"] == "its schedule 'daily' is no number of seconds, timedelta, crontab or solar"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (5, "it is no dict with a task and a schedule, but 5"),
        ({"task": "tests.note"}, "it has no 'schedule'"),
        ({"schedule": 5}, "it has no 'task'"),
        (
            {"task": "tests.note", "schedule": 5, "catch_up": "al"},
            "its catch_up 'al' is none of: skip, once, all",
        ),
    ],
)
def test_a_faulty_entry_says_what_is_wrong_with_it(run, app, given, fault):
    app.conf.beat_schedule["odd"] = given
    code, found = run("list", "odd", "--json")

    assert (code, found[0]["fault"]) == (1, fault)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"task": "tests.noted"}, "There is no task 'tests.noted'. Did you mean tests.note?"),
        ({"task": "tests.none", "args": (1,)}, "Schedule 'odd': tests.none does not take its arguments: "),
    ],
)
def test_an_entry_whose_task_cannot_be_called_is_not_run(run, app, database, given, fault):
    app.conf.beat_schedule["odd"] = {"schedule": 5, **given}

    @app.task(name="tests.none", shared=False)
    def none():
        """Never runs."""

    with pytest.raises(CeleriacError) as caught:
        run("run", "odd")
    assert str(caught.value).startswith(fault)
    assert not Message.objects.using(database).exists()


def test_an_entry_is_paused_resumed_and_skipped(run, database):
    enter()
    assert [line.split("\t")[1] for line in run("pause", "hourly", "row")[1]] == ["paused", "paused"]
    assert [line.split("\t")[1] for line in run("resume", "hourly")[1]] == ["on"]
    assert [line.split("\t")[1] for line in run("skip", "hourly")[1]] == ["skips next"]
    orders = ScheduleOrder.objects.using(database).order_by("name").values_list("name", "is_paused", "skips")

    assert list(orders) == [("hourly", False, 1), ("row", True, 0)]
    assert [line.split("\t")[1] for line in run("resume", "hourly")[1]] == ["on"]


def test_an_entry_is_run_now(run, database):
    code, lines = run("run", "hourly")

    assert code == 0
    message = Message.objects.using(database).get()
    assert lines == [f"hourly\t{message.task_id}"]
    assert '"periodic_task_name":"hourly"' in message.payload.replace(" ", "").replace("\\", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pause", "houry"], "No usable entry of the schedule is called 'houry'. Did you mean 'hourly'?"),
        (["run", "x"], "See them all: manage.py celery schedule"),
        (["skip"], "schedule skip: of which entry?"),
        (["stop"], "there is no 'stop'; there are list"),
    ],
)
def test_a_slip_is_a_usage_error(run, words, said):
    with pytest.raises(CeleriacError) as error:
        run(*words)

    assert said in str(error.value)


# django-celery-beat's tables


def field(kind, **options):
    return kind(null=True, **options)


_TEXT = {"max_length": 200}
THEIRS = {
    "crontabschedule": {
        name: field(models.CharField, **_TEXT)
        for name in ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone")
    },
    "intervalschedule": {"every": field(models.IntegerField), "period": field(models.CharField, **_TEXT)},
    "solarschedule": {
        "event": field(models.CharField, **_TEXT),
        **{
            name: field(models.DecimalField, max_digits=9, decimal_places=6)
            for name in ("latitude", "longitude")
        },
    },
    "clockedschedule": {"clocked_time": field(models.DateTimeField)},
    "periodictask": {
        **{
            name: field(models.CharField, **_TEXT)
            for name in ("name", "task", "queue", "exchange", "routing_key")
        },
        **{name: field(models.TextField) for name in ("args", "kwargs", "headers", "description")},
        **{
            name: field(models.DateTimeField)
            for name in ("expires", "start_time", "last_run_at", "date_changed")
        },
        **{
            name: field(models.IntegerField)
            for name in ("priority", "expire_seconds", "total_run_count")
        },
        **{name: field(models.BooleanField) for name in ("one_off", "enabled")},
        **{
            f"{name}_id": field(models.IntegerField) for name in ("crontab", "interval", "solar", "clocked")
        },
    },
}  # fmt: skip


@pytest.fixture
def theirs(alias):
    """Makes rows in tables as django-celery-beat has them."""
    made = {}
    with connections[alias].schema_editor() as editor:
        for kind, fields in THEIRS.items():
            copies = {name: each.clone() for name, each in fields.items()}
            made[kind] = importing._model(f"django_celery_beat_{kind}", copies)
            editor.create_model(made[kind])
    try:
        with everything_in(alias):
            yield lambda kind, **values: made[kind].objects.using(alias).create(**values)
    finally:
        with connections[alias].schema_editor() as editor:
            for model in made.values():
                editor.delete_model(model)


def fill(theirs):
    berlin = "Europe/Berlin"
    theirs("crontabschedule", id=1, minute="0, 30", hour="7", day_of_week="mon-fri", day_of_month="*",
           month_of_year="*", timezone=berlin)  # fmt: skip
    theirs("intervalschedule", id=1, every=5, period="minutes")
    theirs("solarschedule", id=1, event="sunset", latitude="48.210000", longitude="16.370000")
    theirs("clockedschedule", id=1, clocked_time=datetime(2030, 1, 1, tzinfo=UTC))
    common = {"task": "tests.note", "args": "[1]", "kwargs": '{"x": 2}', "headers": "{}", "enabled": True}
    theirs(
        "periodictask",
        id=1,
        name="cron",
        crontab_id=1,
        queue="mails",
        priority=3,
        expire_seconds=60,
        **common,
    )
    theirs("periodictask", id=2, name="interval", interval_id=1, one_off=True, **{**common, "enabled": False})
    theirs(
        "periodictask", id=3, name="clocked", clocked_id=1, expires=datetime(2031, 1, 1, tzinfo=UTC), **common
    )
    theirs("periodictask", id=4, name="broken", interval_id=1, **{**common, "args": "{}"})
    theirs("periodictask", id=5, name="mine", interval_id=1, **common)


def test_the_entries_of_django_celery_beat_are_taken_over(theirs, alias, capsys):
    fill(theirs)
    enter(name="mine")
    app = make_app(f"django://{alias}")

    assert importing_beat.COMMAND.run(app, []) == 1, "in a pipe nobody has confirmed it"
    said = capsys.readouterr()
    assert "Take over 3 of 5 entries" in said.err
    assert Schedule.objects.count() == 1
    assert "broken\ttests.note\t0:05:00\tfaulty: args: A JSON list is needed" in said.out

    assert importing_beat.COMMAND.run(app, ["--yes", "--json"]) == 1, "one cannot be taken over"
    document = json.loads(capsys.readouterr().out)
    assert document["taken"] == 3
    assert {each["name"]: each["verdict"] for each in document["entries"]} == {
        "broken": "faulty", "clocked": "new", "cron": "new", "interval": "new", "mine": "there",
    }  # fmt: skip
    cron, interval, clocked = (Schedule.objects.get(name=name) for name in ("cron", "interval", "clocked"))
    assert (cron.cron, cron.time_zone) == ("0,30 7 * * mon-fri", "Europe/Berlin")
    assert (cron.args, cron.kwargs, cron.queue) == ([1], {"x": 2}, "mails")
    assert cron.options == {"priority": 3, "expires": 60}
    assert (interval.every, interval.is_enabled, interval.is_one_off) == (timedelta(minutes=5), False, True)
    assert (clocked.at, clocked.ends_at) == (
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2031, 1, 1, tzinfo=UTC),
    )

    assert importing_beat.COMMAND.run(app, ["--yes"]) == 1
    assert "nothing new" in capsys.readouterr().err


def test_without_its_tables_there_is_nothing_to_import(app):
    with pytest.raises(CeleriacError) as error:
        importing_beat.COMMAND.run(app, [])

    assert "has no tables of django-celery-beat. --database names another one." in str(error.value)
