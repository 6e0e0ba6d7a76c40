"""`celery status`: one screen, its exit codes, and what scripts of Celery's own status read."""

import json

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.broker import clock, presence
from celeriac.cli.main import OURS
from celeriac.cli.status import COMMAND
from celeriac.errors import CeleriacError
from celeriac.models import DeadLetter, Message, PausedQueue, ScheduleState, TaskRecord, Worker
from tests.broker import publish
from tests.results import make_app, results_in


@pytest.fixture
def status(broker, capsys):
    """The exit code of the command, and what it printed."""
    app = make_app(broker_url=f"django://{broker}")

    def run(*words):
        code = COMMAND.run(app, words)
        return code, capsys.readouterr().out

    with results_in(broker):
        yield run


@pytest.fixture
def worker(broker):
    presence.presence_for(broker, "one@here").describe("prefork", 4, ["celery", "mails"])


def test_it_is_a_command_of_ours():
    assert OURS["status"][0] == "status:COMMAND"


def test_without_a_worker_it_is_69_as_in_celery(status):
    code, said = status()

    assert code == 69
    assert said.endswith("No nodes replied within time constraint\n")
    assert said.startswith("NO WORKER  start one: python manage.py celery start\n")
    assert "workers  0 up\n" in said


@pytest.mark.parametrize(
    "words", [["--watch", "0"], ["--watch", "x"], ["--timeout", "-1"], ["--watch", "nan"]]
)
def test_a_pause_that_is_none_is_one_line(status, words):
    with pytest.raises(CeleriacError, match=f"'{words[1]}' is no number of seconds above 0"):
        status(*words)


def test_all_on_one_screen_with_the_lines_of_celery_below(status, worker, broker):
    publish(broker, "mails", "one", "two")
    known = {"payload": "{}", "deliveries": 5, "reason": "r", "died_at": clock.now()}
    DeadLetter.objects.using(broker).create(queue="mails", **known)
    now = timezone.now()
    for number, state in enumerate(["SUCCESS", "SUCCESS", "FAILURE"]):
        TaskResult.objects.using(broker).create(task_id=f"{number}", status=state)
        TaskRecord.objects.using(broker).create(
            task_id=f"{number}", task_name="t", published_at=now, started_at=now, finished_at=now
        )

    code, said = status()

    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "all is well"
    assert lines[1] == "workers  1 up   one@here prefork 0/4 busy"
    assert lines[2].startswith("queues   celery 0 waiting · mails 2 waiting, oldest ")
    assert lines[2].endswith(", 1 dead")
    assert lines[3].startswith(
        "tasks    last hour 2 ok, 1 failed (33.33 %), p95 run 0 ms · last minute in 0."
    )
    assert lines[4:] == ["->  one@here: OK", "", "1 node online."]


def test_what_waits_too_long_is_a_warning(status, worker, broker):
    publish(broker, "mails", "one")
    Message.objects.using(broker).update(available_at=clock.now() - clock.seconds(400))

    code, said = status()

    assert code == 1
    assert said.startswith("WARNING  queue 'mails': oldest task has waited 6 m 4")


def test_a_paused_queue_in_which_tasks_wait_is_a_warning(status, worker, broker):
    publish(broker, "mails", "one")
    PausedQueue.objects.using(broker).create(name="mails")

    code, said = status()

    assert code == 1
    assert "WARNING  queue 'mails' is paused, and 1 task waits in it" in said
    assert "mails PAUSED 1 waiting" in said


def test_what_no_worker_reads_is_critical(status, worker, broker):
    publish(broker, "letters", "one")

    code, said = status()

    assert code == 2
    assert said.startswith("CRITICAL  queue 'letters': 1 task waits, and no worker reads it")


def test_a_worker_that_was_lost_is_not_up(status, worker, broker):
    Worker.objects.using(broker).update(is_lost=True)

    assert status()[0] == 69


@pytest.mark.parametrize("word", ["--json", "-j"])
def test_machines_have_it_in_one_document(status, worker, broker, word):
    publish(broker, "letters", "one")

    code, said = status(word)

    found = json.loads(said)
    assert code == 2
    assert list(found) == ["status", "problems", "nodes", "workers", "queues", "pace", "schedule"]
    assert found["status"] == "critical"
    # As Celery's own.
    assert found["nodes"] == {"one@here": {"ok": "pong"}}
    assert " ".join(found["workers"][0]) == "node host pid pool concurrency busy queues heartbeat_age_seconds"
    waiting = {each["name"]: each["waiting"] for each in found["queues"]}
    assert waiting == {"celery": 0, "letters": 1}


def test_celerys_options_ask_the_workers_themselves(status, worker):
    # Nobody is there who could answer: this process has a row alone.
    assert status("--timeout", "0.1", "--destination", "one@here,two@here")[0] == 69
    assert status("-d", "one@here", "-t", "0.1", "-j")[0] == 69


def test_watching_goes_on_until_ctrl_c(status, worker, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("celeriac.cli.status.time.sleep", sleep)

    code, said = status("--watch", "0.5")

    assert (code, slept) == (0, [0.5, 0.5, 0.5])
    assert said.count("1 node online.") == 3


def noted(alias, name, *, due_in, seen_ago=0):
    now = clock.now()
    known = {"anchor": 0, "next_due": now + clock.seconds(due_in), "seen_at": now - clock.seconds(seen_ago)}
    ScheduleState.objects.using(alias).create(name=name, **known)


@pytest.mark.parametrize(
    ("due_in", "seen_ago", "line"),
    [
        (90.5, 10, "schedule 2 entries, next 'report' in 1 m 30 s"),
        (-90.5, 10, "schedule 2 entries, 'report' overdue for 1 m 30 s"),
        (90.5, 300, "schedule 2 entries, which no worker carries"),
    ],
)
def test_the_schedule_has_a_line_once_a_worker_has_carried_it(status, worker, broker, due_in, seen_ago, line):
    assert "schedule" not in status()[1]
    noted(broker, "report", due_in=due_in, seen_ago=seen_ago)
    noted(broker, "later", due_in=3600, seen_ago=seen_ago + 30)
    # Out of the settings since an hour; its row goes later.
    noted(broker, "gone", due_in=-3600, seen_ago=3600)

    assert line in status()[1].splitlines()
    found = json.loads(status("--json")[1])["schedule"]
    assert (found["entries"], found["next_name"]) == (2, "report")
    assert found["is_carried"] is (seen_ago == 10)
