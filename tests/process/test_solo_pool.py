"""The pool `solo`: the task runs in the process, and the thread, that takes the signals."""

import signal
from pathlib import Path

from celery.platforms import EX_FAILURE

from tests.process.project import Project, wait_until
from tests.process.test_worker_life import GATED_TASKS


def test_a_second_ctrl_c_gives_the_cut_task_back(database_project: Project, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    database_project.write("gated/tasks.py", GATED_TASKS)
    with database_project.worker("-P", "solo") as worker:
        database_project.python(
            f"from gated.tasks import held; result = held.delay({str(notes)!r}, {str(gate)!r}).id"
        )
        wait_until(notes.exists, "the task begins")
        worker.signal(signal.SIGINT)
        worker.wait_for_line("Hitting Ctrl.C again")

        worker.signal(signal.SIGINT)

        assert worker.wait() == EX_FAILURE, worker.output
    gate.touch()
    with database_project.worker("-P", "solo"):
        wait_until(lambda: database_project.statuses() == {"SUCCESS": 1}, "the cut task runs to its end")
    assert notes.read_text() == "begin\nbegin\nend\n"
