"""Fault F23: results and exceptions that cannot be stored as they are fail alone, and clearly."""

import pytest

from tests.process.project import Project, wait_until

STRANGE = """
    import math
    from celery import chord, shared_task

    @shared_task
    def add(x, y):
        return x + y

    @shared_task
    def total(numbers):
        return sum(numbers)

    def deep():
        found = []
        for _ in range(100_000):
            found = [found]
        return found

    RESULTS = {
        "an object": lambda: object(),
        "a tuple as key": lambda: {(1, 2): 3},
        "huge": lambda: "x" * 10_000_000,
        "deep": deep,
        "NUL": lambda: "a\\0b",
        "half a pair": lambda: "\\ud800",
        "NaN": lambda: [math.nan, math.inf],
        "a moon": lambda: "\\U0001f31d",
    }

    @shared_task
    def give(what):
        return RESULTS[what]()

    class Mute(Exception):
        def __repr__(self):
            raise RuntimeError("no repr")
        __str__ = __repr__

    class Loud(Exception):
        def __repr__(self):
            return "x" * 10_000_000
        __str__ = __repr__

    class Unpicklable(Exception):
        def __init__(self, one, two):
            super().__init__(object(), one, two)
        def __reduce__(self):
            raise RuntimeError("no pickle")

    class Barren(Exception):
        @property
        def args(self):
            raise RuntimeError("no args")

    ERRORS = {
        "mute": lambda: Mute(),
        "loud": lambda: Loud(),
        "long": lambda: ValueError("x" * 10_000_000),
        "NUL": lambda: ValueError("a\\0b"),
        "half a pair": lambda: ValueError("\\ud800"),
        "a moon": lambda: ValueError("\\U0001f31d"),
        "deep": lambda: ValueError(deep()),
        "unpicklable": lambda: Unpicklable(1, 2),
        "barren": lambda: Barren(),
    }

    @shared_task
    def fail(how):
        raise ERRORS[how]()
"""

PUBLISH = """
import tasks
from celery import chord

def broken(part):
    header = [tasks.add.s(1, 1), tasks.give.s(part)]
    return chord(header)(tasks.total.s()).id

before = [tasks.add.delay(number, 1).id for number in range(20)]
ids = {what: tasks.give.delay(what).id for what in tasks.RESULTS}
ids |= {"error: " + how: tasks.fail.delay(how).id for how in tasks.ERRORS}
ids |= {"chord: " + part: broken(part) for part in ("an object", "huge")}
result = ids, before + [tasks.add.delay(number, 1).id for number in range(20)]
"""
READ = """
from celery.result import AsyncResult
from celeriac.models import Message
from django_celery_results.models import TaskResult

ids, result = {ids!r}, {{}}
for row in TaskResult.objects.filter(task_id__in=ids.values()):
    name = next(name for name in ids if ids[name] == row.task_id)
    value = AsyncResult(row.task_id).result
    text = type(value).__name__ if "mute" in name else repr(value)
    result[name] = row.status, text, len(row.result), len(row.traceback or "")
result["waiting"] = Message.objects.count()
"""
#: What is not written here ends as FAILURE.
STORED = {
    "NUL": "'a\\x00b'",
    "half a pair": "'\\ud800'",
    "NaN": "[nan, inf]",
    "a moon": "'\U0001f31d'",
}
SAYS = {
    "an object": "Object of type object is not JSON serializable",
    "a tuple as key": "keys must be str",
    "huge": "The result of tasks.give has 10,000,002 bytes, more than 4,194,304. Store the data",
    "deep": "maximum recursion depth exceeded",
    "error: mute": "Mute",
    "error: loud": "Loud",
    "error: long": "characters are left out",
    "error: NUL": "a\\x00b",
    "error: half a pair": "\\ud800",
    "error: a moon": "\U0001f31d",
    "error: deep": "RecursionError",
    "error: unpicklable": "Unpicklable",
    "error: barren": "no args",
    "chord: an object": "Object of type object is not JSON serializable",
    "chord: huge": "The result of tasks.give has 10,000,002 bytes",
}


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_what_cannot_be_stored_as_it_is_fails_alone_on_sqlite(sqlite_project: Project, pool: str) -> None:
    _check(sqlite_project, pool)


def test_what_cannot_be_stored_as_it_is_fails_alone_on_each_database(database_project: Project) -> None:
    _check(database_project, "prefork")


def _check(project: Project, pool: str) -> None:
    project.write("tasks.py", STRANGE)
    with project.worker("-c", "2", "-P", pool) as worker:
        ids, mates = project.python(PUBLISH)

        def ended() -> int:
            statuses = project.statuses()
            return statuses.get("SUCCESS", 0) + statuses.get("FAILURE", 0)

        # Each chord has a second part beside its body.
        wait_until(lambda: ended() == len(ids) + len(mates) + 2 * 2, "every task has ended")
        found = project.python(READ.format(ids=ids))
        assert worker.stop() == 0, worker.output[-5000:]
    assert found.pop("waiting") == 0
    for name, (status, text, result, traceback) in found.items():
        assert status == ("SUCCESS" if name in STORED else "FAILURE"), (name, text)
        assert (text == STORED[name]) if name in STORED else (SAYS[name] in text), name
        assert max(result, traceback) < 500_000, name
    assert found.keys() == STORED.keys() | SAYS.keys()
    # Their neighbours, half of the parts of chords, and what is stored.
    assert project.statuses()["SUCCESS"] == len(mates) + 2 + len(STORED)
