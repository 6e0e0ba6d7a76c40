"""Faults F12, F13, F14: statements of workers and publishers fail, or are done and reported as failed."""

from pathlib import Path

import pytest

from tests.process.faults import Account, account, injected, plan, with_faults
from tests.process.project import Project, wait_until

PUBLISH = """
from django.db import DatabaseError, transaction
from tasks import fail, note

acknowledged = []
for number in range({tasks}):
    task = fail if number % 20 == 0 else note
    try:
        if number % 10 == 1:
            with transaction.atomic():
                task.delay({ledger!r}, str(number))
        else:
            task.delay({ledger!r}, str(number))
    except DatabaseError:
        continue
    acknowledged.append(str(number))
result = acknowledged
"""
TASKS = 200


@pytest.mark.parametrize(
    "kind", ["busy", "then lost"], ids=["F12-deadlocks", "F13-done-and-reported-as-failed"]
)
def test_statements_that_fail_lose_nothing_and_run_nothing_twice(
    database_project: Project, tmp_path: Path, kind: str
) -> None:
    project, ledger = with_faults(database_project), tmp_path / "ledger"
    faults = {"kind": kind, "share": 0.05}
    with project.worker("-c", "2") as worker:
        plan(project, worker=faults, publisher=faults)
        acknowledged = set(project.python(PUBLISH.format(tasks=TASKS, ledger=str(ledger))))
        found = _when_done(project, ledger, acknowledged)
        assert worker.stop() == 0, worker.output

    assert not found.lost
    assert not found.unexpected
    told = injected(project)
    # One that is committed, and whose repeat fails too, may be sent by kombu's next try as a new one.
    unheard = sum(line.startswith("publisher") for line in told) if kind == "then lost" else 0
    assert found.duplicates <= unheard
    # A publisher hears of it within a transaction of its own, or when its second connection is lost too.
    assert len(acknowledged) > TASKS * 0.7
    assert {line.split()[0] for line in told} == {"worker", "publisher"}
    # What was published by a transaction that was reported as failed is there too.
    statuses = project.statuses()
    assert statuses.keys() == {"SUCCESS", "FAILURE"}
    assert sum(statuses.values()) == len(found.runs)
    assert "Connection to broker lost" not in worker.output


def _when_done(project: Project, ledger: Path, acknowledged: set[str]) -> Account:
    wait_until(lambda: not account(ledger, acknowledged).lost, "every task has run")
    plan(project)
    wait_until(lambda: _waiting(project) == 0, "every message is done")
    return account(ledger, acknowledged, set(map(str, range(TASKS))))


def _waiting(project: Project) -> int:
    return int(project.python("from celeriac.models import Message; result = Message.objects.count()"))


ROUNDS = """
import json, os, time
from celery.result import AsyncResult
from django.conf import settings
from celeriac.models import Message
from tasks import fail, note

def plan(faults):
    unready = settings.BASE_DIR / "faults.new"
    unready.write_text(json.dumps(faults))
    unready.rename(settings.BASE_DIR / "faults.json")

def until(condition, what):
    ends_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends_at, what
        time.sleep(0.01)

def is_stored(ids):
    return all(AsyncResult(each).state in ("SUCCESS", "FAILURE") for each in ids)

slowest = 0.0
for number in range(1, {rounds} + 1):
    began = time.monotonic()
    plan({{"worker": {{"kind": {kind!r}, "nth": number}}}})
    ids = [note.delay({ledger!r}, f"{{number}}.{{each}}").id for each in range(2)]
    ids.append(fail.delay({ledger!r}, f"{{number}}.failed").id)
    ids.append(note.apply_async(({ledger!r}, f"{{number}}.later"), countdown=0.05).id)
    until(lambda: is_stored(ids), f"every task has ended although statement {{number}} failed")
    until(lambda: not Message.objects.exists(), f"every message is done although statement {{number}} failed")
    slowest = max(slowest, time.monotonic() - began)
result = slowest
"""
_ROUNDS = 30


def test_f14_whichever_statement_of_a_worker_fails_it_goes_on(
    database_project: Project, tmp_path: Path
) -> None:
    project, ledger = with_faults(database_project), tmp_path / "ledger"
    with project.worker("-c", "1") as worker:
        slowest = project.python(ROUNDS.format(rounds=_ROUNDS, kind="lost", ledger=str(ledger)))
        assert worker.stop() == 0, worker.output

    tasks = {f"{number}.{task}" for number in range(1, _ROUNDS + 1) for task in ("0", "1", "failed", "later")}
    found = account(ledger, tasks)
    assert not found.lost
    assert not found.unexpected
    assert found.duplicates == 0
    assert project.statuses() == {"SUCCESS": 3 * _ROUNDS, "FAILURE": _ROUNDS}
    assert len(injected(project)) >= _ROUNDS / 2
    assert slowest < 5
