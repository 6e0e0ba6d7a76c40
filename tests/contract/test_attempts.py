"""Attempts: a row for each run that did not succeed, beside the state that it left, on each database."""

import pytest
from celery import chain, states
from celery.app.trace import build_tracer
from celery.exceptions import Reject
from django.db import connections, transaction

from celeriac.models import Attempt, Outcome
from celeriac.results import attempts
from tests.contract.test_results_charset import TEXT, converted
from tests.databases import emptied_afterwards
from tests.results import context, counted_queries, make_app, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


def run(app, task, *args, **request):
    """Run a task as a worker does."""
    given = {"id": "a", "argsrepr": repr(args), "kwargsrepr": "{}", "hostname": "w@h", "delivery_info": {}}
    tracer = build_tracer(task.name, task, app=app)
    return tracer("a", args, {}, {**given, "task": task.name, "is_eager": False, **request})


def kept(alias, task_id="a"):
    return list(Attempt.objects.using(alias).filter(task_id=task_id).order_by("number"))


def ended(**known):
    return attempts.Ended("a", "shop.pay", Outcome.FAILURE, **known)


def test_a_run_that_fails_leaves_who_when_what_and_where(app, alias):
    def fail():
        raise ValueError("no stock of 17")

    run(app, app.task(fail, name="shop.fail", shared=False))

    (attempt,) = kept(alias)
    assert (attempt.number, attempt.outcome, attempt.worker) == (1, Outcome.FAILURE, "w@h")
    assert (attempt.task_name, attempt.exception) == ("shop.fail", "ValueError")
    assert attempt.message == "no stock of 17"
    assert "in fail" in attempt.traceback
    assert attempt.started_at <= attempt.ended_at == row(alias, "a").date_done


def test_each_retry_is_an_attempt_and_the_success_behind_them_is_none(app, alias):
    def work(self):
        if self.request.retries < 2:
            raise self.retry(exc=OSError(f"away {self.request.retries}"), countdown=0)
        return "done"

    task = app.task(work, name="shop.work", bind=True, shared=False)
    for retries in range(3):
        run(app, task, retries=retries)

    assert row(alias, "a").status == states.SUCCESS
    told = [(each.number, each.outcome, each.exception, each.message) for each in kept(alias)]
    assert told == [
        (1, Outcome.RETRY, "OSError", "away 0"),
        (2, Outcome.RETRY, "OSError", "away 1"),
    ]


def test_a_task_that_succeeds_asks_nothing_of_the_table(app, alias):
    def fine():
        return 1

    task = app.task(fine, name="shop.fine", shared=False)
    with counted_queries(alias) as statements:
        run(app, task)

    assert statements
    assert not [each for each in statements if "celeriac_attempt" in each]


def test_what_never_ran_has_no_attempt(app, alias):
    """The rest of a chain fails with its first task; a task that is revoked before it begins is REVOKED."""

    def fail():
        raise ValueError("no stock")

    task = app.task(fail, name="shop.fail", shared=False)
    rest = chain(task.si().set(task_id="b"), task.si().set(task_id="c"))
    run(app, task, chain=[dict(each) for each in reversed(rest.tasks)])
    app.backend.mark_as_revoked("d", "revoked", request=context("d"))

    assert [row(alias, each).status for each in "bcd"] == [states.FAILURE, states.FAILURE, states.REVOKED]
    assert [len(kept(alias, each)) for each in "abcd"] == [1, 0, 0, 0]


def test_a_run_that_was_terminated_and_one_that_was_given_up_say_so(app, alias):
    app.backend.mark_as_revoked("a", "terminated", request=context("a"))
    app.backend.mark_as_failure("b", Reject("not today"), request=context("b"))
    app.backend.mark_as_failure("c", OSError("x"), request=context("c", given_up=True))

    assert [kept(alias, each)[0].outcome for each in "abc"] == [
        Outcome.REVOKED,
        Outcome.REJECTED,
        Outcome.GIVEN_UP,
    ]


class Counted(ValueError):
    """An error whose class tells that it was made."""

    made = 0

    def __init__(self, *args):
        Counted.made += 1
        super().__init__(*args)


def test_a_state_is_read_without_making_its_error(app, alias):
    app.backend.mark_as_failure("a", Counted("x"), request=context("a"))
    Counted.made = 0

    assert app.backend.get_state("a") == states.FAILURE
    assert kept(alias)[0].exception.endswith("Counted")
    assert Counted.made == 0


def test_an_attempt_is_rolled_back_with_its_state(app, alias):
    with transaction.atomic(using=alias):
        app.backend.mark_as_failure("a", ValueError("x"), request=context("a"))
        assert len(kept(alias)) == 1
        transaction.set_rollback(True, using=alias)

    assert kept(alias) == []


def test_an_attempt_that_is_written_again_is_there_once(alias):
    once = ended()
    for _ in range(2):
        attempts.write(connections[alias], [once])
    attempts.write(connections[alias], [ended()])

    assert [each.number for each in kept(alias)] == [1, 2]


def test_of_a_task_that_fails_for_ever_the_latest_are_kept(alias, monkeypatch):
    monkeypatch.setattr(attempts, "MOST_OF_A_TASK", 3)
    attempts.write(connections[alias], [ended(message=str(number)) for number in range(7)])

    assert [(each.number, each.message) for each in kept(alias)] == [(5, "4"), (6, "5"), (7, "6")]


def test_text_that_is_too_long_or_strange_is_cut_and_stored(alias):
    deep = "\n".join(f"line {number} \ud800\x00" for number in range(100_000))
    attempts.write(
        connections[alias], [ended(exception="E" * 1000, message=deep, traceback=deep, worker="w" * 999)]
    )

    (attempt,) = kept(alias)
    assert len(attempt.message) == 2000
    assert 15_000 < len(attempt.traceback) < 17_000
    assert attempt.traceback.startswith("line 0 ")
    assert "line 99999" in attempt.traceback
    assert (len(attempt.exception), len(attempt.worker)) == (255, 200)


def test_a_table_of_old_mysql_holds_what_it_can(databases):
    with emptied_afterwards(databases.get("mariadb")) as alias, converted(alias, "utf8mb3"):
        attempts.write(connections[alias], [ended(message=TEXT)])

        assert kept(alias)[0].message == TEXT.replace("🙂", "\ufffd")
