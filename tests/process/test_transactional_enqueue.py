"""Fault F27: a task runs if and only if its transaction was committed, its publisher killed or not."""

from collections import Counter
from pathlib import Path

from tests.process.project import Project, Worker, wait_until

BLOCKS, KILLS = 60, 3

TASKS = """
    from celery import shared_task

    @shared_task
    def witness(path, name):
        from django.contrib.auth.models import Group
        was_there = Group.objects.filter(name=name).exists()
        with open(path, "a") as file:
            file.write(f"{name} {was_there}\\n")
"""

#: Half of the blocks are rolled back; those of a round that is killed end in the middle of whatever it is.
PUBLISH = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
django.setup()
from django.contrib.auth.models import Group
from django.db import transaction
from witnesses.tasks import witness
ledger, number, blocks = sys.argv[1], sys.argv[2], int(sys.argv[3])
for block in range(blocks):
    name = f"{number}-{block}"
    try:
        with transaction.atomic():
            Group.objects.create(name=name)
            witness.delay(ledger, name)
            if block % 2:
                raise LookupError
    except LookupError:
        pass
    print("block", block, flush=True)
"""


def test_exactly_what_was_committed_runs(project: Project, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    project.write("witnesses/tasks.py", TASKS)
    project.write("publish.py", PUBLISH)
    # Without it a broker that is no database would have each message before the commit.
    project.add_settings("CELERIAC = {'OUTBOX': True}")
    with project.worker("-c", "2") as worker:
        for number in range(KILLS):
            publisher = _publisher(project, ledger, number, 10 * BLOCKS)
            publisher.wait_for_line("^block", times=BLOCKS // 3 + 7 * number)
            publisher.kill_group()
        last = _publisher(project, ledger, KILLS, BLOCKS)
        assert last.wait() == 0, last.output
        last.kill_group()
        committed = _committed(project)
        wait_until(lambda: set(_executed(ledger)) >= committed, "all that was committed has run")
        assert worker.stop() == 0, worker.output

    executed = _executed(ledger)
    assert set(executed) == committed
    # A publisher may be killed between the message and the deletion of its row.
    assert sum(executed.values()) - len(committed) <= KILLS
    assert "False" not in ledger.read_text(), "it ran before its transaction was committed"


def _publisher(project: Project, ledger: Path, number: int, blocks: int) -> Worker:
    return project.popen(str(ledger), str(number), str(blocks), program=("publish.py",))


def _committed(project: Project) -> set[str]:
    code = """
    from django.contrib.auth.models import Group
    result = list(Group.objects.values_list("name", flat=True))
    """
    return set(project.python(code))


def _executed(ledger: Path) -> Counter[str]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Counter(line.split()[0] for line in lines)
