"""`celery start --graceful SECONDS`: so long running tasks may take, and then they are given back."""

import time
from pathlib import Path

from tests.process.project import Project, wait_until


def test_what_takes_longer_than_the_time_to_stop_is_given_back(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with sqlite_project.worker("-c", "1", "--graceful", "1") as worker:
        sqlite_project.python(
            f"from tasks import hold; result = hold.delay({str(notes)!r}, {str(gate)!r}).id"
        )
        wait_until(notes.exists, "the task begins")

        began = time.monotonic()
        worker.stop()

        # One second for the task and two for all else, and something for a busy machine.
        assert 1 <= time.monotonic() - began < 8, worker.output
    gate.touch()
    with sqlite_project.worker("-c", "1"):
        wait_until(lambda: sqlite_project.statuses() == {"SUCCESS": 1}, "the task runs to its end")
    assert notes.read_text() == "begin\nbegin\nend\n"
