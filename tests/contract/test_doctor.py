"""The doctor finds each of these seeded faults, and nothing on a healthy project."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Task
from django.core.checks import registry
from django.db import connections
from django.test import override_settings
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac import app as apps
from celeriac import checks
from celeriac.broker import clock, depths, presence
from celeriac.cli import doctor as command
from celeriac.discovery import TaskFile
from celeriac.doctor import runner, system_checks
from celeriac.doctor.checks import databases
from celeriac.doctor.patient import Patient
from celeriac.errors import TablesMissing
from celeriac.models import (
    DeadLetter,
    Message,
    MessageState,
    PausedQueue,
    Queue,
    Schedule,
    ScheduleState,
    TaskRecord,
    Tick,
    Worker,
)
from celeriac.worker import about, preflight
from tests.broker import process_of_its_own, unreachable
from tests.servers import DATABASE_SERVERS

TASK = "doctor.add"


@dataclass
class Scene:
    """A project that is well, its database, and what may be done to it."""

    patient: Patient
    alias: str
    directory: Path
    monkeypatch: pytest.MonkeyPatch
    request: Any

    def settings(self, **given: Any) -> None:
        """Until the end of the test."""
        changed = override_settings(**given)
        changed.enable()
        self.request.addfinalizer(changed.disable)

    def workers(self) -> Any:
        return Worker.objects.using(self.alias)

    def beat_no_more(self) -> None:
        """The worker's row stays, and nothing writes it any more."""
        held = presence._presences[self.alias]
        held._ended.set()
        held._thread.join()

    def message(self, *, queue: str = "celery", name: str = TASK, seconds_ago: float = 0.0) -> None:
        then = clock.now() - clock.seconds(seconds_ago)
        known = {"available_at": then, "published_at": then, "task_name": name, "payload": "{}"}
        Queue.objects.using(self.alias).get_or_create(name=queue)
        Message.objects.using(self.alias).create(queue=queue, state=MessageState.READY, **known)

    def result(self, **known: Any) -> None:
        """A row with its times, which Django would set by itself."""
        times = {name: known.pop(name) for name in list(known) if name.startswith("date")}
        number = TaskResult.objects.using(self.alias).count()
        made = TaskResult.objects.using(self.alias).create(task_id=f"id-{number}", **known)
        TaskResult.objects.using(self.alias).filter(pk=made.pk).update(**times)

    def record(self, **known: Any) -> None:
        number = TaskRecord.objects.using(self.alias).count()
        TaskRecord.objects.using(self.alias).create(task_id=f"id-{number}", task_name=TASK, **known)

    def service(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)
        self.patient.service_files = (str(self.directory / name),)

    def codes(self, *, deploy: bool = True) -> list[str]:
        return [each.kind.code for each in runner.examine(self.patient, is_production=deploy)]


def _add():
    """What a task of the project does."""


@pytest.fixture
def scene(request, default_alias, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "sqlite_version_info", (3, 51, 3))
    app = apps.get_app()
    app.task(_add, name=TASK, time_limit=60)
    app.finalize()
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda1 / ext4 rw 0 0\n")
    patient = Patient(app, platform="linux", is_root=False, mounts=mounts, service_files=())
    patient.task_names, patient.task_files = [TASK], []
    preflight.inspect(app)  # As the worker did at its start.
    with process_of_its_own():
        presence.presence_for(default_alias, "one@here").describe("prefork", 4, ["celery", "mails"])
        told = {**about.about(), "code": about.code_of(app), "is_root": False}
        patient.told = {"one@here": told}
        yield Scene(patient, default_alias, tmp_path, monkeypatch, request)
    app.tasks.pop(TASK)


def test_nothing_is_found_in_a_healthy_project(scene):
    scene.message()
    scene.result(task_name=TASK, status="SUCCESS", task_kwargs="{'password': '********', 'url': 'a://b'}")
    scene.record(published_at=timezone.now())

    assert scene.codes() == []


def _killed(scene: Scene) -> None:
    scene.beat_no_more()
    scene.workers().update(is_lost=True)


def _silent(scene: Scene) -> None:
    scene.beat_no_more()
    scene.workers().update(beaten_at=clock.now() - clock.seconds(60))


def _several_hosts(scene: Scene) -> None:
    known = {"pool": "prefork", "queues": "celery", "concurrency": 1, "started_at": clock.now()}
    scene.workers().create(node="two@there", host="there", pid=1, beaten_at=clock.now(), **known)
    scene.patient.told["two@there"] = scene.patient.told["one@here"]


def _told(**changed: Any) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        scene.patient.told["one@here"].update(changed)

    return seed


def _settings(**given: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.settings(**given)


def _database_options(**given: Any) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        for key, value in given.items():
            scene.monkeypatch.setitem(connections[scene.alias].settings_dict, key, value)

    return seed


def _spawned(versions: dict[str, tuple[int, ...]], **given: Any) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        scene.settings(CELERY_WORKER_POOL_START_METHOD="spawn", **given)
        scene.monkeypatch.setattr(scene.patient, "version", versions.__getitem__)

    return seed


def _patient(**known: Any) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        for name, value in known.items():
            setattr(scene.patient, name, value)

    return seed


def _broken_file(scene: Scene) -> None:
    path = scene.directory / "tasks.py"
    path.write_text("import nowhere_to_be_found")
    scene.patient.task_files = [TaskFile(path, root=scene.directory, module="tasks", error="line 1: no")]


def _left_out(scene: Scene) -> None:
    path = scene.directory / "tasks.py"
    scene.patient.task_files = [TaskFile(path, reason="no task was seen", is_doubtful=True)]


def _early_ack(scene: Scene) -> None:
    scene.patient.app.tasks[TASK].acks_late = False
    now = timezone.now()
    scene.record(published_at=now, started_at=now, finished_at=now + timedelta(seconds=90))


def _no_limit(scene: Scene) -> None:
    scene.patient.app.tasks[TASK].time_limit = None


def _apart(scene: Scene) -> None:
    scene.patient.aliases = [scene.alias, "default"]


def _file_mode(scene: Scene) -> None:
    scene.monkeypatch.setattr(databases.servers, "journal_mode", lambda _: "delete")


def _mounted(scene: Scene) -> None:
    scene.patient.mounts.write_text("/dev/sda1 / ext4 rw 0 0\nserver:/a / nfs4 rw 0 0\n")


def _skewed(scene: Scene) -> None:
    scene.monkeypatch.setattr(databases.clocks, "ahead", lambda *_: clock.seconds(60))


def _few_connections(scene: Scene) -> None:
    scene.monkeypatch.setattr(databases.servers, "most_connections", lambda _: 10)


def _huge(scene: Scene) -> None:
    scene.monkeypatch.setattr(databases, "_HUGE_ROWS", 2)
    for _ in range(3):
        scene.result(task_name=TASK)


def _unmigrated(scene: Scene) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    recorder = MigrationRecorder(connections[scene.alias])
    name = max(name for app, name in recorder.applied_migrations() if app == "celeriac")
    recorder.record_unapplied("celeriac", name)
    scene.request.addfinalizer(lambda: recorder.record_applied("celeriac", name))


def _away(scene: Scene) -> None:
    there = unreachable(scene.alias)
    scene.patient.aliases = [there.__enter__()]
    scene.request.addfinalizer(lambda: there.__exit__(None, None, None))


def _scheduled(*minutes_ago: float) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        scene.settings(CELERY_BEAT_SCHEDULE={"each": {"task": TASK, "schedule": timedelta(minutes=10)}})
        for minutes in minutes_ago:
            then = timezone.now() - timedelta(minutes=minutes)
            scene.result(periodic_task_name="each", task_name=TASK, date_created=then)

    return seed


def _noted(scene: Scene, name: str = "each", *, late: float = -60.0, seen: float = 10.0) -> None:
    """A worker carries the schedule: this entry has been due for so long, and was noted so long ago."""
    moment = clock.now() - clock.seconds(late)
    ScheduleState.objects.using(scene.alias).create(
        name=name, anchor=0, next_due=moment, seen_at=clock.now() - clock.seconds(seen)
    )


def _sent(scene: Scene, *minutes_ago: float, by_us: bool) -> None:
    """The entry was sent at these times, by our scheduler or by a beat."""
    for minutes in minutes_ago:
        then = timezone.now() - timedelta(minutes=minutes)
        number = TaskResult.objects.using(scene.alias).count()
        scene.result(periodic_task_name="each", task_name=TASK, date_created=then)
        if by_us:
            Tick.objects.using(scene.alias).create(
                name="each", due=number, fired_at=number, task_id=f"id-{number}"
            )


def _entered(scene: Scene) -> None:
    Schedule.objects.create(name="row", task=TASK, every=timedelta(minutes=10))
    scene.workers().update(started_at=clock.now() - clock.seconds(120))


def _stuck(scene: Scene) -> None:
    _scheduled()(scene)
    _noted(scene, late=400)


def _faulty(scene: Scene) -> None:
    scene.settings(CELERY_BEAT_SCHEDULE={"each": {"task": TASK, "schedule": "daily"}})
    _noted(scene, "another")


def _mistyped(scene: Scene) -> None:
    scene.settings(CELERY_BEAT_SCHEDULE={"each": {"task": f"{TASK}s", "schedule": 600}})


def _beat_beside_us(scene: Scene) -> None:
    _scheduled()(scene)
    _noted(scene)
    _sent(scene, 0, 10, 20, 30, by_us=True)
    _sent(scene, 2, 12, 22, 32, by_us=False)


def _beat_lives(scene: Scene) -> None:
    _scheduled()(scene)
    _noted(scene)
    row = {"host": "h", "pid": 1, "started_at": clock.now(), "beaten_at": clock.now()}
    scene.workers().create(node="celerybeat@h:1", **row)


def _redis(url: str = "redis://127.0.0.1:1/0", **given: Any) -> Callable[[Scene], None]:
    def seed(scene: Scene) -> None:
        scene.settings(CELERY_BROKER_URL=url, **given)
        scene.patient.queues = []

    return seed


def _forgetful(scene: Scene) -> None:
    _redis()(scene)
    scene.monkeypatch.setattr("celeriac.broker.depths.of", lambda *_: {})
    scene.monkeypatch.setattr("celeriac.broker.server_settings.faults", lambda _: ["Redis forgets."])


def _later(scene: Scene) -> None:
    _redis()(scene)
    scene.record(published_at=timezone.now(), eta=timezone.now() + timedelta(hours=5))
    scene.result(task_name=TASK, status="PENDING")


def _paused(scene: Scene) -> None:
    PausedQueue.objects.using(scene.alias).create(name="mails")
    scene.message(queue="mails")


def _dead(scene: Scene) -> None:
    known = {"payload": "{}", "deliveries": 5, "reason": "r", "died_at": clock.now()}
    DeadLetter.objects.using(scene.alias).create(queue="celery", **known)


def _crowd(scene: Scene) -> None:
    scene.workers().update(concurrency=40)


def _threads(scene: Scene) -> None:
    scene.workers().update(pool="threads")
    _database_options(CONN_MAX_AGE=600)(scene)


#: Code and seed; some of one code, in another way.
SEEDS: list[tuple[str, Callable[[Scene], None]]] = [
    ("wrong-setting", _settings(CELERIAC={"POL_SECONDS": 1})),
    ("app-not-found", _settings(CELERY_BROKER_URL="django://nowhere")),
    ("app-not-found", _settings(CELERY_RESULT_BACKEND="djangodb")),
    (
        "command-hidden",
        lambda scene: scene.monkeypatch.setattr(checks, "get_commands", lambda: {"celery": "x"}),
    ),
    ("sqlite-options", _database_options(OPTIONS={})),
    ("sqlite-version", lambda scene: scene.monkeypatch.setattr(checks, "sqlite_version_info", (3, 40, 0))),
    ("unsafe-content", _settings(CELERY_ACCEPT_CONTENT=["json", "pickle"])),
    ("not-durable", _redis("amqp://127.0.0.1:1", CELERY_TASK_DEFAULT_DELIVERY_MODE="transient")),
    ("always-eager", _settings(CELERY_TASK_ALWAYS_EAGER=True)),
    ("debug", _settings(DEBUG=True)),
    ("started-not-tracked", _settings(CELERY_TASK_TRACK_STARTED=False)),
    ("results-not-extended", _settings(CELERY_RESULT_EXTENDED=False)),
    ("results-kept-for-ever", _settings(CELERY_RESULT_EXPIRES=None)),
    ("no-time-limit", _no_limit),
    ("setting-unknown", _settings(CELERY_TASK_TIMELIMIT=60)),
    ("time-zones-differ", _settings(CELERY_TIMEZONE="Europe/Berlin")),
    ("time-zone-unknown", _settings(CELERY_TIMEZONE="Europe/Berln")),
    ("serializer-not-accepted", _settings(CELERY_TASK_SERIALIZER="pickle")),
    ("naive-times", _settings(USE_TZ=False)),
    ("prefork-on-windows", _patient(platform="win32", pool="prefork")),
    ("fork-on-macos", _patient(platform="darwin", start_method="fork")),
    ("bad-versions", _spawned({"celery": (5, 6, 3), "billiard": (4, 3, 2)})),
    ("alive-timeout", _settings(CELERY_WORKER_POOL_START_METHOD="spawn", CELERY_WORKER_PROC_ALIVE_TIMEOUT=4)),
    ("root", _patient(is_root=True)),
    ("kept-connections", _threads),
    ("database-away", _away),
    ("migrations-missing", _unmigrated),
    ("databases-apart", _apart),
    ("sqlite-not-wal", _file_mode),
    ("sqlite-on-network", _mounted),
    ("sqlite-crowded", _crowd),
    ("sqlite-several-hosts", _several_hosts),
    ("database-clock", _skewed),
    ("connections-scarce", _few_connections),
    ("results-huge", _huge),
    ("broker-away", _redis()),
    ("broker-open", _redis("redis://queues.example.invalid/0")),
    ("broker-open", _redis("amqp://guest:guest@192.0.2.1//")),
    ("visibility-too-short", _redis(CELERY_BROKER_TRANSPORT_OPTIONS={"visibility_timeout": 30})),
    ("visibility-too-short", _later),
    ("redis-forgetful", _forgetful),
    ("task-file-broken", _broken_file),
    ("no-tasks", _patient(task_names=[])),
    ("task-file-left-out", _left_out),
    ("early-ack", _early_ack),
    ("unknown-tasks", lambda scene: scene.message(name="shop.renamed", seconds_ago=70)),
    ("queue-without-worker", lambda scene: scene.message(queue="letters")),
    ("queue-paused", _paused),
    ("queue-slow", lambda scene: scene.message(seconds_ago=400)),
    ("dead-letters", _dead),
    ("no-worker", lambda _: presence.end_all()),
    ("worker-silent", _silent),
    ("worker-killed", _killed),
    ("worker-mute", lambda scene: scene.patient.told.clear()),
    ("versions-differ", _told(versions={**about.about()["versions"], "celery": "5.5.1"})),
    ("code-differs", _told(code="0" * 12)),
    ("worker-clock", _told(now=time.time() - 60)),
    ("worker-debug", _told(is_debug=True)),
    ("worker-root", _told(is_root=True)),
    ("schedule-idle", _scheduled(40)),
    ("schedule-idle", _entered),
    ("schedule-idle", _stuck),
    ("schedule-idle", _faulty),
    ("schedule-unknown-task", _mistyped),
    ("schedule-twice", _scheduled(1, 1, 11, 11, 21, 21, 31, 31)),
    ("schedule-twice", _beat_beside_us),
    ("schedule-beside-beat", _beat_lives),
    (
        "secret-in-arguments",
        lambda scene: scene.result(task_name=TASK, task_args="('postgres://me:hunter2@db/x',)"),
    ),
    (
        "supervisord-stops-group",
        lambda scene: scene.service(
            "w.conf", "[program:w]\ncommand=manage.py celery worker\nstopasgroup=true\n"
        ),
    ),
    (
        "systemd-kills-group",
        lambda scene: scene.service("w.service", "[Service]\nExecStart=/v/bin/celery -A x worker\n"),
    ),
    (
        "stops-too-soon",
        lambda scene: [
            scene.settings(CELERY_TASK_TIME_LIMIT=600),
            scene.service(
                "w.service", "[Service]\nExecStart=a celery\nKillMode=mixed\nTimeoutStopSec=5min\n"
            ),
        ],
    ),
    (
        "stops-too-soon",
        lambda scene: scene.service(
            "w.conf", "[program:w]\ncommand=a celery start --time-limit=600\nstopwaitsecs=300\n"
        ),
    ),
]


@pytest.mark.parametrize(("code", "seed"), SEEDS, ids=[f"{code}-{n}" for n, (code, _) in enumerate(SEEDS)])
def test_a_seeded_fault_is_found(scene, code, seed):
    seed(scene)

    assert code in scene.codes()


def test_a_worker_with_a_shorter_time_limit_of_its_own_needs_less_time_to_stop(scene):
    scene.settings(CELERY_TASK_TIME_LIMIT=600)
    # From Celery 5.7 on the setting comes before the option.
    seconds = 630 if ("time_limit", "task_time_limit") in Task.from_config else 90
    scene.service("w.conf", f"[program:w]\ncommand=a celery start --time-limit 60\nstopwaitsecs={seconds}\n")

    assert "stops-too-soon" not in scene.codes()


def test_a_schedule_that_a_worker_carries_is_well(scene):
    _scheduled()(scene)
    _entered(scene)
    for name in ("each", "row"):
        _noted(scene, name)
    # One after another; what was missed, at once; and some by hand.
    _sent(scene, 10, 20, 30, 40, 40, 40, 40, 40, 40, by_us=True)
    _sent(scene, 4, 3, 2, 1, by_us=False)

    assert scene.codes() == []


def test_a_row_that_is_disabled_takes_the_place_of_its_entry_of_the_settings(scene):
    _scheduled(40)(scene)
    Schedule.objects.create(name="each", task=TASK, every=timedelta(minutes=10), is_enabled=False)

    assert scene.codes() == []


def test_an_entry_whose_task_runs_is_not_idle_under_a_beat_that_does_not_name_it(scene):
    _scheduled(40)(scene)
    TaskResult.objects.using(scene.alias).update(
        periodic_task_name=None, date_created=timezone.now() - timedelta(minutes=4)
    )
    scene.workers().update(started_at=clock.now() - clock.seconds(3600))

    assert scene.codes() == []


def test_an_entry_of_the_table_is_nobodys_fault_under_another_scheduler(scene):
    scene.settings(CELERY_BEAT_SCHEDULER="django_celery_beat.schedulers:DatabaseScheduler")
    _entered(scene)

    assert scene.codes() == []


def test_workers_that_hear_no_questions_are_not_mute(scene):
    scene.settings(CELERY_WORKER_ENABLE_REMOTE_CONTROL=False)
    del scene.patient.told

    assert scene.codes() == []


def test_without_rows_and_without_remote_control_nobody_knows_of_workers(scene):
    _redis("memory://", CELERY_WORKER_ENABLE_REMOTE_CONTROL=False)(scene)
    scene.patient.has_results = False
    presence.end_all()
    del scene.patient.told

    assert "no-worker" not in scene.codes()


def test_a_worker_that_does_not_know_the_question_is_no_fault(scene):
    scene.patient.told["one@here"] = {"error": "KeyError('celeriac_about')"}

    assert scene.codes() == []


@pytest.mark.parametrize("command", ["celery -A shop beat", "/srv/worker/bin/celery -A shop flower"])
def test_a_beat_and_a_monitor_have_no_pool_that_a_stop_could_hit(scene, command):
    scene.service("w.conf", f"[program:w]\ncommand={command}\nstopasgroup=true\n")

    assert scene.codes() == []


def test_what_stands_beside_a_unit_of_systemd_holds(scene):
    scene.service("w.service", "[Service]\nExecStart=/v/bin/celery -A x worker\n")
    (scene.directory / "w.service.d").mkdir()
    (scene.directory / "w.service.d" / "override.conf").write_text("[Service]\nKillMode=mixed\n")

    assert scene.codes() == []


def test_each_kind_that_can_be_found_has_a_seed():
    assert {kind.code for kind in runner.kinds()} - {code for code, _ in SEEDS} == {"not-checked"}
    assert len({code for code, _ in SEEDS}) >= 25


@pytest.mark.parametrize("code", system_checks.IDS)
def test_what_settings_alone_tell_is_a_system_check_of_deploy(scene, monkeypatch, code):
    dict(reversed(SEEDS))[code](scene)
    monkeypatch.setattr("celeriac.doctor.patient.Patient", lambda _: scene.patient)

    (message,) = [each for each in system_checks.check_cheap() if each.id == system_checks.IDS[code]]

    (finding,) = [
        each for each in runner.examine(scene.patient, is_production=True) if each.kind.code == code
    ]
    assert (message.msg, message.hint) == (finding.what, finding.fix)


def test_the_system_checks_find_nothing_in_a_healthy_project(scene):
    assert system_checks.check_cheap() == []
    assert system_checks.check_cheap in registry.registry.get_checks(include_deployment_checks=True)
    assert system_checks.check_cheap not in registry.registry.get_checks()


@pytest.mark.parametrize(
    "name", ["CELERY_ROUTES", "CELERY_RESULT_EXPIRES", "CELERY_EMAIL_BACKEND", "CELERY_ON"]
)
def test_names_that_celery_knows_and_the_projects_own_are_no_slips(scene, name):
    scene.settings(**{name: None})

    assert "setting-unknown" not in scene.codes()


def test_what_matters_in_production_alone_is_told_with_deploy_alone(scene):
    scene.settings(DEBUG=True)

    assert "debug" not in scene.codes(deploy=False)


def test_a_check_that_fails_is_told_and_keeps_no_other_from_being_done(scene, monkeypatch):
    def lately(_):
        raise ValueError("on purpose")

    monkeypatch.setattr("celeriac.doctor.checks.workers.CHECKS", (lately,))
    scene.settings(CELERY_TASK_TRACK_STARTED=False)

    assert scene.codes() == ["not-checked", "started-not-tracked"]


def test_a_check_that_fails_before_its_reason_is_found_says_nothing(scene, monkeypatch):
    def lately(_):
        raise TablesMissing("on purpose")

    monkeypatch.setattr("celeriac.doctor.checks.starting.CHECKS", (lately,))

    assert scene.codes() == ["not-checked"]
    _unmigrated(scene)
    assert scene.codes() == ["migrations-missing"]


def test_where_the_app_cannot_be_used_nothing_else_is_asked(scene):
    scene.settings(CELERY_BROKER_URL="django://nowhere", CELERY_TASK_TRACK_STARTED=False)

    assert scene.codes() == ["app-not-found"]


def test_a_broker_that_is_away_is_asked_once(scene, monkeypatch):
    asked = []
    depths_of = depths.of
    monkeypatch.setattr(depths, "of", lambda *given: asked.append(given) or depths_of(*given))
    monkeypatch.setattr("celeriac.broker.server_settings.faults", lambda _: asked.append("settings") or [])
    scene.settings(CELERY_BROKER_URL="redis://127.0.0.1:1/0")

    assert "broker-away" in scene.codes()

    assert len(asked) == 1


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_servers_are_asked_for_their_limits_and_their_clocks(databases_of_servers, vendor):
    alias = databases_of_servers(vendor)
    patient = Patient(apps.get_app())
    patient.aliases, patient.living = [alias], []

    found = [each for check in databases.CHECKS for each in check(patient)]

    assert found == []
    assert databases.servers.most_connections(connections[alias]) > 10


@pytest.fixture
def databases_of_servers(databases):
    assert DATABASE_SERVERS
    yield databases.get
    for connection in connections.all():
        connection.close()


def test_the_command_says_it_as_a_table_and_as_json_and_ends_with_1(scene, monkeypatch, capsys):
    monkeypatch.setattr(command, "Patient", lambda _: scene.patient)
    assert command.COMMAND.run(scene.patient.app, ["--deploy"]) == 0
    assert capsys.readouterr().out == ""

    scene.settings(CELERY_TASK_TRACK_STARTED=False)
    assert command.COMMAND.run(scene.patient.app, []) == 0
    assert capsys.readouterr().out.startswith(
        "warning\tstarted-not-tracked\tCELERY_TASK_TRACK_STARTED is off.\t"
    )

    scene.settings(CELERY_ACCEPT_CONTENT=["json", "pickle"])
    assert command.COMMAND.run(scene.patient.app, ["--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["errors"], said["warnings"]) == (1, 1)
    assert said["findings"][0].keys() == {"code", "level", "what", "why", "fix"}
    assert said["findings"][0]["code"] == "unsafe-content"


def test_people_are_told_why_and_how_to_mend_it(scene, monkeypatch, capsys):
    monkeypatch.setattr(command, "Patient", lambda _: scene.patient)
    monkeypatch.setattr(command.output, "is_for_people", lambda: True)
    command.COMMAND.run(scene.patient.app, [])
    assert "✓ nothing found" in capsys.readouterr().out

    scene.settings(CELERY_TASK_ALWAYS_EAGER=True)
    assert command.COMMAND.run(scene.patient.app, []) == 1

    said = capsys.readouterr().out
    assert "✗ always-eager: CELERY_TASK_ALWAYS_EAGER is on: no task goes to a worker.\n" in said
    assert "    fix: Remove CELERY_TASK_ALWAYS_EAGER" in said
    assert said.endswith("1 error, 0 warnings\n")


def test_the_page_has_each_kind():
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")

    table = "\n".join(_row(kind) for kind in runner.kinds())
    if os.environ.get("CELERIAC_WRITE_DOCS"):
        begin, end = page.index("| `"), page.rindex("|\n") + 1
        Path(__file__).parents[2].joinpath("docs/doctor.md").write_text(page[:begin] + table + page[end:])
        return
    assert table in page


def _row(kind: Any) -> str:
    level = f"{kind.level}, --deploy" if kind.is_of_production else str(kind.level)
    return f"| `{kind.code}` | {level} | {kind.title} | {kind.why} | {kind.fix} |".replace("{…}", "…")
