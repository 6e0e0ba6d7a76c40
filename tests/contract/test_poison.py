"""How many runs of a task count against MAX_DELIVERIES where the broker does not count deliveries."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connections
from django.utils import timezone

from celeriac.models import Outcome
from celeriac.results import attempts, records, reviving
from celeriac.worker import poison
from tests.results import results_in


@pytest.fixture(autouse=True)
def results(alias):
    with results_in(alias):
        yield


def begin(alias, count):
    records.add_runs(connections[alias], [records.Run("a", "tests.job", starts=count)])


def end(alias, outcome, count, ago=timedelta(0)):
    ended = [
        attempts.Ended("a", "tests.job", outcome, ended_at=timezone.now() - ago, never_began=True)
        for _ in range(count)
    ]
    attempts.write(connections[alias], ended)


def not_ended(retries=0):
    return poison.not_ended("a", SimpleNamespace(headers={"retries": retries}))


def test_runs_that_ended_in_a_retry_do_not_count(alias):
    assert not_ended() == 0

    begin(alias, 4)
    end(alias, Outcome.RETRY, 3)

    assert not_ended(retries=3) == 1


def test_runs_before_a_task_was_sent_again_do_not_count(alias):
    begin(alias, 120)
    end(alias, Outcome.RETRY, 119, ago=timedelta(hours=1))
    end(alias, Outcome.FAILURE, 1, ago=timedelta(hours=1))
    reviving.revive(alias, ["a"], [], [])

    assert not_ended() == 0

    begin(alias, 2)
    end(alias, Outcome.LOST, 1)
    assert not_ended() == 2
