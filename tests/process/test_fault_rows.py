"""The rows of the fault matrix in their short form: what is lost, run twice or stuck when processes die.

Each row is a file of `soak/faults/`, and `make soak` runs the same rows long. The seed is new each time and
stands in the message of a test that fails; CELERIAC_SOAK_SEED repeats it.
"""

import os
import secrets

import celery
import pytest

from soak.faults import fault
from soak.performing import perform
from soak.sizes import SHORT

#: What a row is about is mostly the same on each database: pool, Celery's own code, the end of the publisher.
ON_SQLITE = (
    *("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8 work", "F8 publish", "F8 reap", "F8 chord"),
    *("F24", "F25", "F26", "F28", "F29", "F31"),
)
ON_POSTGRESQL = ("F2", "F5", "F6", "F24", "F25")
ON_MARIADB = ("F2", "F6", "F24")
#: The oldest versions are asked for some of them on SQLite: a row takes as long as ten other tests.
ON_OLDEST = {("sqlite", "F2"), ("sqlite", "F6"), ("sqlite", "F25")}
IS_NEWEST = celery.VERSION[:2] >= (5, 7)
ALL_ROWS = [
    *(("sqlite", row) for row in ON_SQLITE),
    *(("postgresql", row) for row in ON_POSTGRESQL),
    *(("mariadb", row) for row in ON_MARIADB),
    # Redis gives back what a killed worker held after minutes: F2 is for the long run alone.
    *(("rabbitmq", row) for row in ("F2", "F6")),
    ("redis", "F6"),
]
ROWS = [(name, row) for name, row in ALL_ROWS if IS_NEWEST or (name, row) in ON_OLDEST]


@pytest.mark.parametrize(("system", "row"), ROWS, ids=[f"{name}-{row}" for name, row in ROWS])
def test_nothing_is_lost_and_nothing_is_stuck(soak_stage, system, row):
    seed = int(os.environ.get("CELERIAC_SOAK_SEED") or secrets.randbits(31))

    outcome = perform(soak_stage(f"celeriac-{system}"), fault(row), SHORT, seed)

    assert not outcome.complaints, "\n".join([f"seed {seed}: {outcome.counts}", *outcome.complaints])
    assert outcome.counts.executed > 0
