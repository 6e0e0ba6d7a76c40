"""Commands about tasks, queues and workers: what they print for people, pipes and machines; exit codes."""

import io
import json
import sys
from contextlib import closing

import pytest
from django.db import connections
from django.utils import timezone

from celeriac import control
from celeriac.broker import clock
from celeriac.broker.queries import workers
from celeriac.cli.call import COMMAND as CALL
from celeriac.cli.queues import COMMAND as QUEUES
from celeriac.cli.retry import COMMAND as RETRY
from celeriac.cli.revoke import COMMAND as REVOKE
from celeriac.cli.run import COMMAND as RUN
from celeriac.cli.tasks import COMMAND as TASKS
from celeriac.cli.workers import COMMAND as WORKERS
from celeriac.errors import CeleriacError, QueryError
from celeriac.models import Attempt, Message, Revocation, TaskRecord
from celeriac.results import upsert
from tests.broker import Stranger, process_of_its_own
from tests.contract.test_task_queries import fail
from tests.results import embedded_worker, mark, publishing_app


@pytest.fixture
def app(default_alias, monkeypatch):
    with process_of_its_own(), publishing_app(default_alias) as made:
        control.install(made)
        # Commands about a task speak of the project's app.
        for module in ("celeriac.control", "celeriac.publisher.again"):
            monkeypatch.setattr(f"{module}.get_app", lambda: made, raising=False)
        monkeypatch.setattr(made.loader, "import_default_modules", lambda: None)
        yield made


@pytest.fixture
def ran(app, capsys):
    """Runs a command; its exit code, what it printed, and its errors."""

    def run(command, *words):
        code = command.run(app, list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def ran_as_json(ran):
    def run(command, *words):
        code, said, _ = ran(command, *words, "--json")
        return code, json.loads(said)

    return run


@pytest.fixture
def shown(app, monkeypatch):
    """What a command prints on a terminal, in lines."""

    def run(command, *words):
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        command.run(app, list(words))
        return terminal.getvalue().splitlines()

    return run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def pay(app):
    def pay(card, pin=None):
        if card == "stolen":
            raise ValueError("refused")
        return f"paid by {card}"

    return app.task(pay, name="shop.pay", sensitive=["pin"], shared=False)


@pytest.fixture
def failed(default_alias, pay):
    """Tasks that were published and failed; their ids."""
    ids = [pay.delay("stolen").id for _ in range(3)]
    Message.objects.using(default_alias).all().delete()
    for task_id in ids:
        end(default_alias, task_id, "FAILURE")
        fail(default_alias, task_id, "ValueError", "refused\nby the bank")
    return ids


def end(alias, task_id, state):
    with connections[alias].cursor():
        upsert.write(connections[alias], [mark(task_id, state, worker="celery@web1")])


def test_tasks_in_a_pipe_are_whole_ids_and_plain_numbers(ran, default_alias, failed):
    code, said, _ = ran(TASKS, "state:failed")

    lines = [line.split("\t") for line in said.splitlines()]
    assert (code, {line[0] for line in lines}) == (0, set(failed))
    assert lines[0][1:4] == ["shop.pay", "FAILURE", "celery"]
    assert lines[0][-1] == "ValueError: refused by the bank"
    assert float(lines[0][4]) >= 0


def test_tasks_at_a_terminal_are_a_table_with_a_footer(shown, failed):
    lines = shown(TASKS, "--state", "failed", "--limit", "2")

    assert lines[0].split() == [
        "ID",
        "TYPE",
        "STATE",
        "QUEUE",
        "WAITED",
        "RAN",
        "RUNS",
        "WORKER",
        "PUBLISHED",
        "ERROR",
    ]
    assert len(lines) == 4
    assert lines[1].split()[0] in {task_id[:8] for task_id in failed}
    assert lines[-1] == "2 of 3"


def test_no_task_is_no_error(ran, app):
    assert ran(TASKS, "state:failed") == (0, "", "")


def test_tasks_as_json_have_a_stable_form(ran_as_json, failed):
    code, found = ran_as_json(TASKS, "--type", "shop.*", "--since", "1h", "--query", "state:failed")

    assert (code, found["total"], len(found["tasks"])) == (0, 3, 3)
    assert sorted(found["tasks"][0]) == [
        "args",
        "attempts",
        "error",
        "eta",
        "expires",
        "finished_at",
        "group_id",
        "kwargs",
        "origin_id",
        "parent_id",
        "priority",
        "published_at",
        "queue",
        "ran_seconds",
        "root_id",
        "sent_again_at",
        "started_at",
        "state",
        "task_id",
        "task_name",
        "waited_seconds",
        "worker",
    ]


def test_a_slip_in_a_query_or_a_word_is_one_line(app):
    with pytest.raises(QueryError, match="Did you mean failed"):
        TASKS.run(app, ["state:faild"])
    with pytest.raises(CeleriacError, match=r"tasks: there is no 'shwo'\. Did you mean show\?"):
        TASKS.run(app, ["shwo"])


def test_a_task_is_shown_with_its_runs_that_failed(ran, ran_as_json, default_alias, failed):
    Attempt.objects.using(default_alias).update(traceback="Traceback …\nValueError: \x1b[2Jrefused")

    code, said, _ = ran(TASKS, "show", failed[0][:8])

    assert code == 0
    assert said.startswith(f"shop.pay  {failed[0]}\n")
    assert "  arguments       ('stolen',)\n" in said
    assert "run 1: FAILURE on no worker" in said
    assert "  ValueError: \\x1b[2Jrefused\n" in said
    _, found = ran_as_json(TASKS, "show", failed[0])
    assert (found["state"], found["attempts_failed"][0]["outcome"]) == ("FAILURE", "FAILURE")
    assert ran(TASKS, "show", "zz") == (1, "", "No task's id begins with 'zz'.\n")


def test_a_task_that_was_revoked_while_it_waited_has_not_run(ran, default_alias, pay):
    task_id = pay.delay("mine").id
    end(default_alias, task_id, "REVOKED")
    TaskRecord.objects.using(default_alias).update(started_at=None, finished_at=timezone.now())

    _, page, _ = ran(TASKS, "show", task_id)
    _, listed, _ = ran(TASKS)

    (ended,) = (line for line in page.splitlines() if line.startswith("  ended "))
    assert ", ran" not in ended
    assert listed.split("\t")[5] == "-"


def test_types_are_counted(ran, failed):
    code, said, _ = ran(TASKS, "types")

    assert (code, said.split("\t")[:3]) == (0, ["shop.pay", "3", "3"])


def test_a_task_is_sent_again_by_its_id(ran, default_alias, failed):
    code, said, _ = ran(RETRY, failed[0][:8])

    assert (code, said) == (0, "1 sent again.\n")
    assert Message.objects.using(default_alias).get().task_id == failed[0]
    code, _, complaint = ran(RETRY, failed[0])
    assert code == 1
    assert "it still waits or runs (PENDING). To send it nevertheless: --force" in complaint
    assert ran(RETRY, "zz") == (1, "", "No task's id begins with 'zz'.\n")


def test_tasks_are_sent_again_by_a_query_once_somebody_says_yes(ran, ran_as_json, default_alias, failed):
    assert ran(RETRY, "--query", "state:failed") == (
        1,
        "",
        "Send 3 tasks again? Nothing is done without --yes.\n",
    )

    code, found = ran_as_json(RETRY, "--query", "state:failed", "--yes")

    assert (code, found) == (0, {"matched": 3, "sent": 3, "refused": [], "task_ids": []})
    assert Message.objects.using(default_alias).count() == 3
    assert ran(RETRY, "--query", "state:failed") == (0, "No task is found.\n", "")


def test_as_new_says_the_new_ids(ran_as_json, default_alias, failed):
    code, found = ran_as_json(RETRY, failed[0], "--as-new")

    (new,) = found["task_ids"]
    assert (code, new != failed[0]) == (0, True)
    assert TaskRecord.objects.using(default_alias).get(task_id=new).origin_id == failed[0]


def test_nobody_sends_everything_by_a_slip(app):
    with pytest.raises(CeleriacError, match="retry: which ones"):
        RETRY.run(app, [])
    with pytest.raises(CeleriacError, match="not both"):
        RETRY.run(app, ["8f", "--query", "state:failed"])


def test_revoked_tasks_are_remembered(ran, ran_as_json, default_alias, pay, failed):
    waiting = [pay.delay("mine").id for _ in range(3)]

    code, said, _ = ran(REVOKE, waiting[0])
    assert (code, said[:10]) == (0, "1 revoked:")
    assert list(Revocation.objects.using(default_alias).values_list("value", flat=True)) == [waiting[0]]
    code, _, complaint = ran(REVOKE, failed[0])
    assert (code, complaint) == (1, f"Task {failed[0]} has ended: FAILURE.\n")
    assert ran(REVOKE, "--query", "type:shop.pay")[0] == 1

    code, found = ran_as_json(REVOKE, "--query", "type:shop.pay", "--yes")

    assert (code, found) == (0, {"revoked": 3, "task_ids": [], "terminated": False})
    assert Revocation.objects.using(default_alias).count() == 3


def test_a_task_that_is_named_twice_is_there(ran, pay):
    task_id = pay.delay("mine").id

    assert ran(REVOKE, task_id, task_id[:8])[0] == 0


def test_what_is_published_while_somebody_thinks_is_not_revoked(ran, default_alias, pay, monkeypatch):
    waits = pay.delay("mine").id
    monkeypatch.setattr("celeriac.cli.output.is_confirmed", lambda *_, **__: bool(pay.delay("new").id))

    assert ran(REVOKE, "--query", "type:shop.pay")[1].startswith("1 revoked:")
    assert list(Revocation.objects.using(default_alias).values_list("value", flat=True)) == [waits]


def test_a_signal_that_no_worker_knows_is_a_slip(app):
    with pytest.raises(CeleriacError, match="'SIGKIL' is no signal"):
        REVOKE.run(app, ["8f", "--terminate", "--signal", "SIGKIL"])


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["-a", "[1, 2]", "-k", '{"b": "x"}'], [1, 2], {"b": "x"}),
        (["NaN", "b=Infinity"], ["NaN"], {"b": "Infinity"}),
        (["1", "two", "[3]", "b=true", "c=x=y"], [1, "two", [3]], {"b": True, "c": "x=y"}),
        (["--args=[1]", "--queue", "mails", "b=2"], [1], {"b": 2}),
    ],
)
def test_a_call_is_sent_with_its_arguments(ran, app, default_alias, words, args, kwargs):
    def anything(*args, **kwargs):
        pass

    app.task(anything, name="shop.any", shared=False)

    code, said, _ = ran(CALL, "shop.any", *words)

    message = Message.objects.using(default_alias).get()
    body = json.loads(json.loads(message.payload)["body"])
    assert (code, said.strip()) == (0, message.task_id)
    assert body[:2] == [args, kwargs]
    assert message.queue == ("mails" if "mails" in words else "celery")


def test_a_call_takes_celerys_options(ran, default_alias, pay):
    words = [
        "--countdown",
        "60",
        "--expires",
        "2099-01-01T00:00:00Z",
        "--serializer",
        "json",
        "--routing-key=celery",
    ]

    assert ran(CALL, "shop.pay", "mine", *words, "--priority", "3")[0] == 0

    record = TaskRecord.objects.using(default_alias).get()
    assert (record.eta is not None, record.expires.year, record.priority) == (True, 2099, 3)
    assert Message.objects.using(default_alias).get().available_at > clock.now()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--wait", "nan"], "'nan' is no number of seconds"),
        (["--countdown", "1e12"], "'1e12' is no number of seconds"),
        (["--expires", "inf"], "'inf' is no number of seconds"),
        (["--priority", "12"], "'12' is no priority from 0 to 9"),
        (["--serializer", "pickle"], "No worker reads 'pickle': CELERY_ACCEPT_CONTENT has json"),
        (["--serializer", "foo"], "No encoder installed for foo"),
        (["--exchange", "nowhere", "--routing-key", "x"], "No queue is bound to exchange 'nowhere'"),
    ],
)
def test_what_no_call_can_be_sent_with_is_one_line(app, pay, words, said):
    with pytest.raises(CeleriacError, match=said):
        CALL.run(app, ["shop.pay", "mine", *words])


def test_a_call_of_no_task_is_a_slip_or_anothers(ran, app, pay, default_alias):
    with pytest.raises(CeleriacError, match=r"There is no task 'shop\.pya'\. Did you mean shop\.pay\?"):
        CALL.run(app, ["shop.pya"])
    with pytest.raises(CeleriacError, match="does not take these arguments"):
        CALL.run(app, ["shop.pay", "nothing=1"])

    code, _, complaint = ran(CALL, "another.project")

    assert (code, complaint[:32]) == (0, "No task 'another.project' is kno")
    assert Message.objects.using(default_alias).get().task_name == "another.project"


def test_a_call_that_nobody_runs_in_time_is_124(ran, ran_as_json, pay):
    code, said, complaint = ran(CALL, "shop.pay", "mine", "--wait", "0.01")

    assert code == 124
    assert said.splitlines()[1] == "PENDING"
    assert "It has not ended within 0.01 s." in complaint


@pytest.mark.parametrize(("card", "code", "state"), [("mine", 0, "SUCCESS"), ("stolen", 1, "FAILURE")])
def test_a_call_that_is_waited_for_says_what_it_came_to(ran_as_json, pay, app, card, code, state):
    with embedded_worker(app):
        ended, found = ran_as_json(CALL, "shop.pay", card, "--wait", "30")

    assert (ended, found["state"]) == (code, state)
    assert (found["result"], found["error"]) == (
        ("paid by mine", None) if code == 0 else (None, "ValueError: refused")
    )


def test_a_task_runs_here_and_nothing_is_published(ran, ran_as_json, app, default_alias, pay):
    def both(card):
        return pay.delay(card).get()

    app.task(both, name="shop.both", shared=False)

    assert ran(RUN, "shop.both", "mine") == (0, "'paid by mine'\n", "")
    code, said, complaint = ran(RUN, "shop.both", "stolen", "--time")
    assert (code, said) == (1, "")
    assert "ValueError: refused" in complaint
    assert "in pay" in complaint
    assert complaint.splitlines()[-1].startswith("ran ")
    _, found = ran_as_json(RUN, "shop.pay", "stolen")
    assert found["error"] == "ValueError: refused"
    assert (
        set(found) == {"result", "error", "traceback", "seconds"} == set(ran_as_json(RUN, "shop.pay", "x")[1])
    )
    assert not Message.objects.using(default_alias).exists()
    assert not TaskRecord.objects.using(default_alias).exists()


@pytest.mark.parametrize("command", [CALL, RUN])
def test_arguments_that_the_task_does_not_take_are_one_line(ran, pay, command):
    with pytest.raises(
        CeleriacError, match=r"^shop.pay does not take these arguments: pay\(\) missing 1 req"
    ):
        ran(command, "shop.pay")
    with pytest.raises(CeleriacError, match="the following arguments are required: name\\. "):
        ran(command)


def test_what_a_task_prints_or_returns_does_not_break_the_json(ran, app):
    def odd():
        sys.stdout.write("working\n")
        return {(1, 2): "\udc80"}

    app.task(odd, name="shop.odd", shared=False)

    code, said, complaint = ran(RUN, "shop.odd", "--json")

    assert (code, json.loads(said)["result"], complaint) == (0, "{(1, 2): '\\udc80'}", "working\n")


def test_queues_are_listed_and_purged(ran, ran_as_json, default_alias, pay):
    pay.apply_async(("mine",), queue="mails")

    code, said, _ = ran(QUEUES)
    assert code == 0
    assert [line.split("\t")[:2] for line in said.splitlines()] == [["celery", "0"], ["mails", "1"]]
    _, found = ran_as_json(QUEUES)
    assert sorted(found["queues"][1]) == [
        "claimed",
        "dead_letters",
        "is_paused",
        "name",
        "oldest_waiting_seconds",
        "scheduled",
        "waiting",
    ]
    assert ran(QUEUES, "purge", "mails")[0] == 1
    assert ran_as_json(QUEUES, "purge", "mails", "--yes") == (0, {"purged": {"mails": 1}})
    said = "There is no queue 'mial'. Did you mean 'mails'?\n"
    assert ran(QUEUES, "purge", "mial", "--yes")[::2] == (1, said)
    assert not Message.objects.using(default_alias).exists()


def test_workers_are_listed_or_nobody_is_there(ran, ran_as_json, default_alias, pay):
    assert ran(WORKERS) == (69, "", "No worker lives. Start one: python manage.py celery start\n")
    task_id = pay.delay("mine").id
    with closing(Stranger(default_alias, "celery@web1")) as web:
        web.beat()
        end(default_alias, task_id, "STARTED")
        web.session.run(
            lambda connection, _: workers.describe(connection, web.worker, "prefork", 4, ["celery", "mails"])
        )

        code, said, _ = ran(WORKERS)
        _, found = ran_as_json(WORKERS)

    cells = said.rstrip("\n").split("\t")
    assert (code, cells[:2], cells[3:6]) == (0, ["celery@web1", "alive"], ["prefork", "1/4", "celery,mails"])
    assert cells[-1].startswith(f"shop.pay[{task_id}] ")
    (worker,) = found["workers"]
    assert (worker["running"][0]["task_id"], worker["busy"], worker["is_alive"]) == (task_id, 1, True)
