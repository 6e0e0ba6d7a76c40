"""Fault F16: clocks of workers that are wrong, or jump. The clock of the database is the one that counts.

SQLite has no clock of its own: there the host's is the database's, and all processes of a file have the same
one, which may jump.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import emptied_afterwards
from tests.process.clock import WrongClock
from tests.process.conftest import database_settings, made
from tests.process.project import Project, wait_until

TASKS = """
    import os, time
    from celery import shared_task

    def note(path, *words):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (" ".join(map(str, words)) + "\\n").encode())
        os.close(file)

    @shared_task
    def stamp(path, text, due_at=0.0):
        # Of the machine, whatever the wall says.
        note(path, text, time.monotonic() - due_at)

    @shared_task(bind=True, max_retries=1)
    def again(self, path, text):
        note(path, text, self.request.expires)
        if not self.request.retries:
            raise self.retry(countdown=0)

    @shared_task
    def hold(path, text, gate):
        note(path, text, "begin")
        while not os.path.exists(gate):
            time.sleep(0.02)
        note(path, text, "end")

    @shared_task
    def wall():
        return time.time()
"""
SKEWED = """
import time
from datetime import UTC, datetime, timedelta
from celery.result import AsyncResult
from tasks import again, stamp

ledger, now = {ledger!r}, datetime.now(UTC)
soon, ids = now + timedelta(seconds=60), {{}}
for queue in ("ahead", "behind"):
    for text, task, options in (
        ("good", stamp, {{"expires": soon}}),
        ("over", stamp, {{"expires": now - timedelta(seconds=1)}}),
        ("again", again, {{"expires": soon}}),
    ):
        result = task.apply_async((ledger, f"{{queue}}-{{text}}"), queue=queue, **options)
        ids[f"{{queue}}-{{text}}"] = result.id
    due_at = time.monotonic() + 1.5
    later = stamp.apply_async((ledger, f"{{queue}}-later", due_at), queue=queue, countdown=1.5, expires=soon)
    ids[f"{{queue}}-later"] = later.id
states = {{text: (AsyncResult(task_id).get(timeout=30, propagate=False), AsyncResult(task_id).state)[1]
    for text, task_id in ids.items()}}
result = [states, soon.isoformat()]
"""


@pytest.fixture
def postgresql_project(databases: Any, tmp_path: Path) -> Iterator[Project]:
    """PostgreSQL shows what holds for a server."""
    alias = databases.get("postgresql")
    with emptied_afterwards(alias):
        yield made(tmp_path / "project", database_settings(alias))


def test_f16_eta_and_expires_are_the_databases_whatever_the_workers_clocks_say(
    postgresql_project: Project, tmp_path: Path
) -> None:
    project, ledger = postgresql_project, tmp_path / "ledger"
    project.write("tasks.py", TASKS)
    ahead, behind = WrongClock(tmp_path / "ahead", 300), WrongClock(tmp_path / "behind", -300)
    with (
        project.worker("-c", "1", "-Q", "ahead", "-n", "ahead@%h", **ahead.environment) as first,
        project.worker("-c", "1", "-Q", "behind", "-n", "behind@%h", **behind.environment) as second,
    ):
        states, expires = project.python(SKEWED.format(ledger=str(ledger)))
        assert first.stop() == 0, first.output
        assert second.stop() == 0, second.output

    for queue in ("ahead", "behind"):
        found = {text.removeprefix(f"{queue}-"): state for text, state in states.items() if queue in text}
        assert found == {"good": "SUCCESS", "over": "REVOKED", "again": "SUCCESS", "later": "SUCCESS"}, queue
    notes = [line.split() for line in ledger.read_text().splitlines()]
    once = {"good": 1, "again": 2, "later": 1}
    assert Counter(text for text, _ in notes) == {
        f"{queue}-{text}": runs for queue in ("ahead", "behind") for text, runs in once.items()
    }
    # The moment that the caller gave goes on to the next try, not what a worker's clock makes of it.
    assert {word for text, word in notes if text.endswith("again")} == {expires}
    late = [float(word) for text, word in notes if text.endswith("later")]
    assert all(0 <= seconds < 1 for seconds in late), late


ROUND = """
import time
from tasks import stamp, wall

ledger, ids = {ledger!r}, []
due_at = time.monotonic() + 1
ids.append(stamp.apply_async((ledger, "later-{name}", due_at), countdown=1))
ids += [stamp.apply_async((ledger, f"{name}-{{each}}"), expires=60) for each in range(10)]
for each in ids:
    each.get(timeout=30)
result = wall.delay().get(timeout=30) - time.time()
"""


@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_f16_a_clock_that_jumps_loses_nothing_and_runs_nothing_twice(
    request: Any, system: str, tmp_path: Path
) -> None:
    project: Project = request.getfixturevalue(f"{system}_project")
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    project.write("tasks.py", TASKS)
    clock = WrongClock(tmp_path / "clock")
    publisher = clock.environment if system == "sqlite" else {}
    hold = f"from tasks import hold; result = hold.delay({str(ledger)!r}, 'held', {str(gate)!r}).id"
    with (
        project.worker("-c", "2", "-n", "first@%h", **clock.environment) as first,
        project.worker("-c", "2", "-n", "second@%h", **clock.environment) as second,
    ):
        task_id = project.python(hold, **publisher)
        wait_until(ledger.exists, "a task runs while the clock jumps")
        for name, jump in (("forward", 3600), ("back", 0), ("behind", -3600)):
            clock.jump(jump)
            away = project.python(ROUND.format(ledger=str(ledger), name=name), **publisher)
            assert abs(away - (0 if publisher else jump)) < 30, "the workers see it"
        gate.touch()
        end = f"from celery.result import AsyncResult; result = AsyncResult({task_id!r}).get(timeout=30)"
        project.python(end, **publisher)
        assert first.stop() == 0, first.output
        assert second.stop() == 0, second.output

    notes = [line.split() for line in ledger.read_text().splitlines()]
    numbered = {f"{name}-{each}" for name in ("forward", "back", "behind") for each in range(10)}
    delayed = {f"later-{name}" for name in ("forward", "back", "behind")}
    assert Counter(text for text, _ in notes) == {"held": 2, **dict.fromkeys(numbered | delayed, 1)}
    late = [float(word) for text, word in notes if text in delayed]
    assert all(-0.01 < seconds < 1 for seconds in late), late
    assert "is lost" not in first.output + second.output
