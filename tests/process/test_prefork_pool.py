"""Our shorter way to the pool's processes: jobs and results of every size, and processes that end."""

import os
import signal
from pathlib import Path

import celery
import pytest
from celery.concurrency import prefork

from celeriac.worker import pool
from tests.process.conftest import made
from tests.process.project import Project, wait_until

TASKS = """
    import os

    from celery import shared_task

    @shared_task
    def echo(text, length):
        return [len(text), "r" * length]

    @shared_task
    def pid():
        return os.getpid()
"""
#: The only process of the pool.
CHILD = """
    from celeriac.app import get_app
    replies = get_app().control.inspect(timeout=5).stats()
    result = next(iter(replies.values()))["pool"]["processes"][0]
"""
#: Less than a pipe takes as a whole, about as much, and more than it holds.
SIZES = [0, 3_000, 4_000, 4_097, 70_000, 300_000]


def test_jobs_and_results_of_every_size_arrive_also_where_processes_are_replaced(
    sqlite_project: Project,
) -> None:
    sqlite_project.write("echoes/tasks.py", TASKS)
    sqlite_project.write("echoes/__init__.py", "")
    with sqlite_project.worker("-c", "2", "--max-tasks-per-child", "5") as worker:
        wrong = sqlite_project.python(
            f"""
            import itertools
            import celeriac
            from echoes.tasks import echo, pid
            pairs = list(itertools.product({SIZES!r}, {SIZES!r}))
            with celeriac.bulk():
                sent = [echo.delay("x" * given, wanted) for given, wanted in pairs]
                small = [pid.delay() for _ in range(200)]
            got = [[length, len(text)] for length, text in (each.get(timeout=60) for each in sent)]
            processes = [each.get(timeout=60) for each in small]
            most = max(processes.count(each) for each in processes)
            result = [got != [list(pair) for pair in pairs], most > 5]
            """
        )
        assert worker.stop() == 0, worker.output

    assert wrong == [False, False]
    assert "inqueue damaged" not in worker.output


def test_a_task_that_a_killed_process_had_not_begun_runs_in_another(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with sqlite_project.worker("-c", "1") as worker:
        sent = sqlite_project.python(
            f"""
            from tasks import add, hold
            result = [hold.delay({str(notes)!r}, {str(gate)!r}).id, add.delay(1, 2).id]
            """
        )
        wait_until(notes.exists, "the task begins")
        gate.touch()
        child = sqlite_project.python(CHILD)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: sqlite_project.statuses() == {"SUCCESS": 2}, "both end")
        assert worker.stop() == 0, worker.output
    assert len(sent) == 2


def test_only_celerys_own_pool_goes_the_shorter_way() -> None:
    class Other(prefork.TaskPool):
        pass

    own, other = prefork.TaskPool(1), Other(1)
    for each in (own, other):
        pool.shorten(each, None)

    assert issubclass(own.Pool, pool.Pool)
    assert other.Pool is prefork.AsynPool


#: When the consumer closes, no process has said yet that it has begun, as in the moment after it was given a
#: job. billiard lets a process wait for half a minute to be heard; here it waits for ever.
NOT_SAID = """
    from billiard import pool
    from celery.concurrency import asynpool
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 1_000_000
    _flush = asynpool.AsynPool.flush

    def flush(self):
        for job in self._cache.values():
            job._accepted = False
        _flush(self)
        print("what is not accepted is forgotten", flush=True)

    asynpool.AsynPool.flush = flush

    from celery import shared_task

    @shared_task
    def nothing():
        pass
"""


def test_a_process_that_had_not_said_to_have_begun_is_heard_at_the_end(
    sqlite_project: Project, tmp_path: Path
) -> None:
    sqlite_project.write("unsaid/tasks.py", NOT_SAID)
    sqlite_project.write("unsaid/__init__.py", "")
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with sqlite_project.worker("-c", "1") as worker:
        sqlite_project.python(
            f"from tasks import hold; result = hold.delay({str(notes)!r}, {str(gate)!r}).id"
        )
        wait_until(notes.exists, "the task begins")
        worker.signal(signal.SIGTERM)
        wait_until(lambda: "is forgotten" in worker.output, "the consumer closes")
        gate.touch()
        assert worker.wait() == 0, worker.output

    assert notes.read_text() == "begin\nend\n"
    assert sqlite_project.statuses() == {"SUCCESS": 1}


CLOSING = """
    from celery.concurrency import prefork
    _on_start = prefork.TaskPool.on_start

    def on_start(self):
        _on_start(self)
        flush = self.flush

        def told():
            print("the consumer closes", flush=True)
            flush()

        self.flush = told

    prefork.TaskPool.on_start = on_start

    from celery import shared_task

    @shared_task
    def anything():
        pass
"""


def test_what_a_process_begins_while_the_consumer_closes_runs_once(rabbitmq_url: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    project = made(tmp_path / "project", f"CELERY_BROKER_URL = {rabbitmq_url!r}")
    project.write("closing/tasks.py", CLOSING)
    project.write("closing/__init__.py", "")
    publish = f"from tasks import note; result = note.delay({str(notes)!r}, {{!r}}).id"
    with project.worker("-c", "1", "-l", "INFO") as worker:
        child = project.python(CHILD)
        os.kill(child, signal.SIGSTOP)
        project.python(publish.format("given"))
        worker.wait_for_line("note.* received")
        # When the next one has come, the first one is in the pipe of the process.
        project.python(publish.format("waits"))
        worker.wait_for_line("note.* received", times=2)
        worker.signal(signal.SIGTERM)
        worker.wait_for_line("the consumer closes")
        os.kill(child, signal.SIGCONT)
        assert worker.wait() == 0, worker.output

    assert notes.read_text() == "begin given\ngiven\n"
    with project.worker("-c", "1"):
        wait_until(lambda: project.statuses() == {"SUCCESS": 2}, "the other one runs")
    assert notes.read_text() == "begin given\ngiven\nbegin waits\nwaits\n"


#: The first time a part is to be counted, its process dies.
DYING = """
    import os
    from pathlib import Path
    from celeriac.results import chords
    _counted = chords.part_ended

    def part_ended(backend, request, state):
        died = Path(__file__).with_name("died")
        if not died.exists():
            died.touch()
            os._exit(9)
        return _counted(backend, request, state)

    chords.part_ended = part_ended

    from celery import shared_task

    @shared_task{options}
    def part(number):
        return number
"""


@pytest.mark.parametrize("options", ["", "(acks_late=False)"], ids=["late", "early"])
def test_a_part_whose_process_dies_between_its_success_and_its_count_is_counted(
    sqlite_project: Project, options: str
) -> None:
    if options and celery.VERSION[:2] < (5, 7):
        pytest.skip("before 5.7 Celery fails an early ack whose process was lost, whatever was stored")
    sqlite_project.write("parts/tasks.py", DYING.replace("{options}", options))
    sqlite_project.write("parts/__init__.py", "")
    with sqlite_project.worker("-c", "1") as worker:
        total = sqlite_project.python(
            """
            from celery import chord
            from parts.tasks import part
            from tasks import total
            result = chord([part.s(1), part.s(2)])(total.s()).get(timeout=50)
            """
        )
        assert worker.stop() == 0, worker.output

    assert total == 3
    assert (sqlite_project.directory / "parts/died").exists()
