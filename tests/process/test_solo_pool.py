"""The pool `solo`: the task runs in the process, and the thread, that takes the signals."""

import signal
from pathlib import Path

from celery.platforms import EX_FAILURE

from tests.process.project import Project, wait_until


def test_a_second_ctrl_c_gives_the_cut_task_back(database_project: Project, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with database_project.worker("-P", "solo") as worker:
        database_project.python(
            f"from tasks import hold; result = hold.delay({str(notes)!r}, {str(gate)!r}).id"
        )
        wait_until(notes.exists, "the task begins")
        worker.signal(signal.SIGINT)
        # Celery says before this that another one would stop it, and takes that one only from here on.
        worker.wait_for_line("Warm shutdown")

        worker.signal(signal.SIGINT)

        assert worker.wait() == EX_FAILURE, worker.output
    gate.touch()
    with database_project.worker("-P", "solo"):
        wait_until(lambda: database_project.statuses() == {"SUCCESS": 1}, "the cut task runs to its end")
    assert notes.read_text() == "begin\nbegin\nend\n"
