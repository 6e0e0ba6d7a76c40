"""`celery dead`, `clean` and `queues move`: what is listed, sent again, deleted and moved; exit codes."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac import control
from celeriac.broker import clock
from celeriac.cli.clean import COMMAND as CLEAN
from celeriac.cli.dead import COMMAND as DEAD
from celeriac.cli.queues import COMMAND as QUEUES
from celeriac.errors import CeleriacError, QueryError
from celeriac.models import Attempt, DeadLetter, Message, MessageState, Revocation, TaskRecord
from tests.contract.test_replay import bury_all
from tests.results import publishing_app


@pytest.fixture
def app(broker, monkeypatch):
    with publishing_app(broker) as made:
        monkeypatch.setattr(control, "get_app", lambda: made)
        yield made


@pytest.fixture
def ran(app, capsys):
    def run(command, *words):
        code = command.run(app, list(words))
        said = capsys.readouterr()
        return code, json.loads(said.out) if "--json" in words else said.out, said.err

    return run


@pytest.fixture
def dead(app, alias):
    """Three dead letters, of two queues."""

    def pay(order):
        return order

    pay = app.task(pay, name="shop.pay", shared=False)
    for queue in ("celery", "celery", "mails"):
        pay.apply_async((1,), queue=queue)
    letters = bury_all(app, alias)
    DeadLetter.objects.using(alias).update(died_at=clock.now() - clock.seconds(3600))
    return letters


@pytest.mark.parametrize("query", ["type:Shop.pay", "type:SHOP.*", "queue:Mails", "queue:MAIL*"])
def test_dead_letters_are_found_by_names_as_they_are_written(ran, dead, query):
    assert ran(DEAD, query, "--json")[1]["letters"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "dead replay: which ones? Give numbers, --query 'queue:mails since:2h', or --all."),
        (
            ["show", "8f3a"],
            "show: argument number: '8f3a' is no number; a task's letters: celery dead id:8f3a.",
        ),
        (["delete", "9" * 19], f"delete: argument number: '{'9' * 19}' is no number; "),
    ],
)
def test_a_letter_is_named_by_its_number(ran, words, said):
    with pytest.raises(CeleriacError) as caught:
        ran(DEAD, *words)
    assert str(caught.value).startswith(said)


def test_dead_letters_are_listed_by_a_query(ran, dead):
    code, said, _ = ran(DEAD, "queue:mails", "exc:NEVER", "since:2h", "type:shop.*")

    assert code == 0
    number, task_id, name, queue, deliveries, _, reason = said.rstrip("\n").split("\t")
    assert (int(number), task_id, name, queue) == (dead[2].pk, dead[2].task_id, "shop.pay", "mails")
    assert (deliveries, reason) == ("6", "delivered 5 times and never finished")
    _, found, _ = ran(DEAD, "--json")
    assert (found["total"], len(found["letters"])) == (3, 3)
    assert sorted(found["letters"][0]) == [
        "deliveries",
        "died_at",
        "number",
        "queue",
        "reason",
        "task_id",
        "task_name",
    ]
    assert ran(DEAD, "until:2h") == (0, "", "")
    with pytest.raises(QueryError, match=r"state: dead letters have none\. Their keys are: id, type"):
        ran(DEAD, "state:failed")


def test_one_is_shown(ran, dead):
    code, said, _ = ran(DEAD, "show", str(dead[0].pk))

    assert (code, "delivered 5 times and never finished" in said) == (0, True)
    assert ran(DEAD, "show", "123456") == (1, "", "There is no dead letter 123456.\n")


def test_letters_are_replayed(ran, alias, dead):
    assert ran(DEAD, "replay", str(dead[0].pk)) == (0, "1 sent again.\n", "")
    assert ran(DEAD, "replay", str(dead[0].pk))[0] == 1
    code, _, complaint = ran(DEAD, "replay", "--query", "queue:mails,celery")
    assert (code, complaint) == (
        1,
        "Send the messages of 2 dead letters again? Nothing is done without --yes.\n",
    )

    code, found, _ = ran(DEAD, "replay", "--all", "--yes", "--json")

    assert (code, found["sent"], found["refused"]) == (0, 2, [])
    assert Message.objects.using(alias).count() == 3
    assert ran(DEAD, "replay", "--all") == (0, "No dead letter is found.\n", "")


def test_letters_are_deleted_once_somebody_says_yes(ran, alias, dead):
    assert ran(DEAD, "delete", str(dead[0].pk))[0] == 1
    assert ran(DEAD, "delete", str(dead[0].pk), "--yes") == (0, "1 deleted.\n", "")
    assert ran(DEAD, "delete", "--query", "queue:mails", "--yes", "--json")[1] == {"deleted": 1}
    assert list(DeadLetter.objects.using(alias)) == [dead[1]]
    with pytest.raises(CeleriacError, match="dead delete: which ones"):
        ran(DEAD, "delete")


#: Each table of `clean`, without rows.
NONE = dict.fromkeys(
    (
        "task results",
        "task records",
        "attempts",
        "group results",
        "chords",
        "revocations",
        "chord parts",
        "dead letters",
    ),
    0,
)


@pytest.fixture
def old(app, alias):
    """A task that ended three days ago with all that belongs to it, one that ended now, and an old letter."""
    for name, days in [("old", 3), ("new", 0)]:
        then = timezone.now() - timedelta(days=days)
        TaskRecord.objects.using(alias).create(
            task_id=name, task_name="t", published_at=then, finished_at=then
        )
        TaskResult.objects.using(alias).create(task_id=name, status="FAILURE")
        TaskResult.objects.using(alias).filter(task_id=name).update(date_done=then)
        Attempt.objects.using(alias).create(
            run_key=name, task_id=name, number=1, ended_at=then, outcome="FAILURE"
        )
    DeadLetter.objects.using(alias).create(
        queue="q", payload="{}", deliveries=1, reason="r", died_at=clock.now() - clock.seconds(10 * 86_400)
    )


def left(alias):
    return [
        sorted(model.objects.using(alias).values_list("task_id", flat=True))
        for model in (TaskResult, TaskRecord, Attempt, DeadLetter)
    ]


def test_clean_deletes_what_is_old_enough_once_somebody_says_yes(ran, alias, old):
    code, found, _ = ran(CLEAN, "--dry-run", "--dead-letters-older-than", "7d", "--json")
    assert (code, found) == (
        0,
        {"would_delete": {**NONE, "task results": 1, "task records": 1, "dead letters": 1}},
    )
    code, _, complaint = ran(CLEAN)
    assert code == 1
    assert complaint.startswith("Delete 1 task results, 1 task records, and what belongs to them? Nothing")

    code, found, _ = ran(CLEAN, "--yes", "--json")

    assert (code, found) == (0, {"deleted": {**NONE, "task results": 1, "task records": 1, "attempts": 1}})
    assert left(alias) == [["new"], ["new"], ["new"], [None]]
    assert ran(CLEAN, "--yes") == (0, "Nothing is old enough.\n", "")
    assert ran(CLEAN, "--json") == (0, {"deleted": NONE}, "")


def test_clean_takes_another_age(ran, alias, old):
    assert ran(CLEAN, "--older-than", "4d", "--yes") == (0, "Nothing is old enough.\n", "")
    with pytest.raises(CeleriacError, match="--older-than 'soon' is no length of time"):
        ran(CLEAN, "--older-than", "soon")

    assert ran(CLEAN, "--older-than", "0s", "--dead-letters-older-than", "0s", "--yes")[0] == 0

    assert left(alias) == [[], [], [], []]


def test_clean_counts_each_row_once_however_old_it_is(ran, alias, old):
    """What is ten times as old is meant twice: as what ended, and as what nobody ends any more."""
    then = timezone.now() - timedelta(days=30)
    TaskRecord.objects.using(alias).filter(task_id="old").update(published_at=then, finished_at=then)
    TaskResult.objects.using(alias).filter(task_id="old").update(date_done=then)
    TaskResult.objects.using(alias).create(task_id="never", status="PENDING")
    TaskResult.objects.using(alias).filter(task_id="never").update(date_done=then)
    Revocation.objects.using(alias).create(value="old")
    Revocation.objects.using(alias).update(revoked_at=then - timedelta(days=30))

    _, counted, _ = ran(CLEAN, "--dry-run", "--json")
    _, done, _ = ran(CLEAN, "--yes", "--json")

    assert counted["would_delete"] == {**NONE, "task results": 2, "task records": 1, "revocations": 1}
    assert done["deleted"] == {**counted["would_delete"], "attempts": 1}


def test_what_comes_while_somebody_thinks_is_not_deleted(ran, alias, dead, monkeypatch):
    def think(question, *, is_given):
        DeadLetter.objects.using(alias).create(
            queue="celery", payload="{}", deliveries=1, reason="new", died_at=clock.now()
        )
        return True

    monkeypatch.setattr("celeriac.cli.output.is_confirmed", think)

    assert ran(DEAD, "delete", "--all") == (0, "3 deleted.\n", "")
    assert DeadLetter.objects.using(alias).get().reason == "new"


def test_what_waits_is_moved_to_another_queue(ran, app, alias, dead):
    ran(DEAD, "replay", "--all", "--yes")
    Message.objects.using(alias).filter(queue="mails").update(state=MessageState.CLAIMED, claim_token=1)

    assert ran(QUEUES, "move", "celery", "mial") == (
        1,
        "",
        "There is no queue 'mial'. Did you mean 'mails'?\n",
    )
    assert ran(QUEUES, "move", "celery", "mails")[0] == 1
    assert ran(QUEUES, "move", "celery", "mails", "--yes") == (0, "2 moved.\n", "")

    assert set(Message.objects.using(alias).values_list("queue", flat=True)) == {"mails"}
    assert set(TaskRecord.objects.using(alias).values_list("queue", flat=True)) == {"mails"}
    Message.objects.using(alias).update(state=MessageState.CLAIMED)
    assert ran(QUEUES, "move", "mails", "celery", "--json")[:2] == (0, {"moved": 0})
