"""`celery start` on a terminal in DEBUG: an edit is in the next task, and no running task is lost by it."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery.platforms import EX_FAILURE

from tests.process.project import Project, wait_until
from tests.process.terminal import CTRL_C, Terminal, edit

_READY = r" ready\.$"


@contextmanager
def at_terminal(project: Project, *options: str) -> Iterator[Terminal]:
    terminal = Terminal(project, "celery", "start", "-c", "1", *options)
    try:
        terminal.wait_for_line(_READY)
        yield terminal
    finally:
        terminal.kill_group()


def added(project: Project) -> int:
    return int(project.python("from tasks import add; result = add.delay(2, 2).get(timeout=60)"))


def hold(project: Project, notes: Path, gate: Path) -> None:
    """Have a task running that ends once the gate is there."""
    project.python(f"from tasks import hold; result = hold.delay({str(notes)!r}, {str(gate)!r}).id")
    wait_until(notes.exists, "the task begins")


def test_an_edit_is_in_the_next_task_and_a_broken_file_waits_for_its_cure(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with at_terminal(sqlite_project, "--reload-timeout", "60") as terminal:
        hold(sqlite_project, notes, gate)

        edit(sqlite_project, "tasks.py", "return x + y", "return x + y + 7")
        terminal.wait_for_line("waiting for 1 running task")
        # What comes next has read the file by now, or is about to.
        edit(sqlite_project, "tasks.py", "return x + y + 7", "return x + y + 100")
        terminal.wait_for_line(r"tasks\.py changed", times=2)
        gate.touch()
        terminal.wait_for_line(_READY, times=2)
        assert added(sqlite_project) == 104
        assert notes.read_text() == "begin\nend\n"
        terminal.wait_for_line(r"✓ tasks\.hold +#\w{8}  ran ")

        edit(sqlite_project, "tasks.py", "+ 100", "+ (")
        terminal.wait_for_line(r"tasks\.py cannot be imported: line \d+: SyntaxError")
        terminal.wait_for_line("it starts again when a file changes")
        edit(sqlite_project, "tasks.py", "+ (", "+ 1000")
        terminal.wait_for_line(_READY, times=3)
        assert added(sqlite_project) == 1004

        terminal.press(CTRL_C)
        assert terminal.wait() == EX_FAILURE, terminal.output
    assert terminal.output.count("SyntaxError") == 1
    assert terminal.output.count("broker   database") == 1


def test_what_is_broken_while_a_task_runs_is_told_at_once_and_its_cure_is_in_the_next_worker(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with at_terminal(sqlite_project, "--reload-timeout", "60") as terminal:
        hold(sqlite_project, notes, gate)

        edit(sqlite_project, "tasks.py", "return x + y", "return x + (")
        terminal.wait_for_line(r"tasks\.py cannot be imported: line \d+: SyntaxError")
        edit(sqlite_project, "tasks.py", "return x + (", "return x + y + 100")
        terminal.wait_for_line(r"tasks\.py changed", times=2)
        gate.touch()
        terminal.wait_for_line(_READY, times=2)
        assert added(sqlite_project) == 104


def test_ctrl_c_ends_what_waits_for_its_turn_without_a_word(sqlite_project: Project, tmp_path: Path) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with at_terminal(sqlite_project, "--reload-timeout", "60") as terminal:
        hold(sqlite_project, notes, gate)
        edit(sqlite_project, "tasks.py", "return x + y", "return x - y")
        terminal.wait_for_line("waiting for 1 running task")
        wait_until(lambda: len(watched_by(terminal.process.pid)) == 2, "the next worker begins")

        terminal.press(CTRL_C)
        wait_until(lambda: len(watched_by(terminal.process.pid)) == 1, "it is gone")
        gate.touch()
        assert terminal.wait() == EX_FAILURE, terminal.output
    assert "KeyboardInterrupt" not in terminal.output
    assert notes.read_text() == "begin\nend\n"


def test_ctrl_c_ends_a_worker_whose_import_hangs(sqlite_project: Project) -> None:
    with at_terminal(sqlite_project) as terminal:
        edit(sqlite_project, "tasks.py", "import os, time", "import os, time; time.sleep(600)")
        terminal.wait_for_line("stopping")
        wait_until(lambda: len(watched_by(terminal.process.pid)) == 1, "its turn has come")

        terminal.press(CTRL_C)

        assert terminal.wait() == EX_FAILURE, terminal.output
        wait_until(lambda: not sessions_processes(terminal.process.pid), "it is gone")


def test_what_the_worker_before_has_to_itself_is_there_when_that_has_ended(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    held = f"import os, time, socket, sys\nif 'start' in sys.argv: held = socket.create_server({address})"
    edit(sqlite_project, "tasks.py", "import os, time", held)
    with at_terminal(sqlite_project, "--reload-timeout", "60") as terminal:
        hold(sqlite_project, notes, gate)
        edit(sqlite_project, "tasks.py", "return x + y", "return x + y + 100")
        terminal.wait_for_line("Address already in use")

        gate.touch()

        terminal.wait_for_line(_READY, times=2)
        assert added(sqlite_project) == 104


def watched_by(process: int) -> list[int]:
    """The living children of a process, by /proc."""
    return [child for child, parent, _ in processes() if parent == process]


def test_what_a_task_prints_is_a_line_of_the_log(sqlite_project: Project) -> None:
    edit(
        sqlite_project,
        "tasks.py",
        "return x + y",
        'print("sum of", x); print(); print(y, end=""); return x + y',
    )
    with at_terminal(sqlite_project) as terminal:
        assert added(sqlite_project) == 4
        terminal.wait_for_line(r"✓ tasks\.add ")

        printed = re.findall(r"^\d\d:\d\d:\d\d    (.*)$", terminal.output, re.MULTILINE)
    assert [line.rstrip() for line in printed if not line.endswith(" ready.\r")][-2:] == ["sum of 2", "2"]


def test_a_module_that_is_deleted_shows_at_once_who_imports_it(sqlite_project: Project) -> None:
    sqlite_project.write("prices.py", "VAT = 20\n")
    edit(sqlite_project, "tasks.py", "import os, time", "import os, time, prices")
    with at_terminal(sqlite_project) as terminal:
        (sqlite_project.directory / "prices.py").unlink()

        terminal.wait_for_line(r"prices\.py deleted")
        terminal.wait_for_line(r"tasks\.py cannot be imported: line \d+: ModuleNotFoundError")
        sqlite_project.write("prices.py", "VAT = 20\n")
        terminal.wait_for_line(_READY, times=2)


def test_a_task_that_outlasts_the_reload_runs_again_and_ctrl_c_twice_stops_now(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    with at_terminal(sqlite_project, "--reload-timeout", "0.5") as terminal:
        hold(sqlite_project, notes, gate)
        edit(sqlite_project, "tasks.py", "return x + y", "return x - y")
        terminal.wait_for_line(
            "what still runs is cut short: it begins again in another worker, if it may run twice"
        )
        wait_until(lambda: notes.read_text() == "begin\nbegin\n", "the cut task begins again")

        terminal.press(CTRL_C)
        terminal.wait_for_line("waiting for 1 running task", times=2)
        terminal.press(CTRL_C)
        assert terminal.wait() == EX_FAILURE, terminal.output
    assert "Cold shutdown" not in terminal.output
    assert "Hitting Ctrl+C" not in terminal.output
    gate.touch()
    with sqlite_project.worker("-c", "1"):
        wait_until(lambda: sqlite_project.statuses() == {"SUCCESS": 1}, "the task runs to its end")


def test_a_worker_ends_with_the_process_that_watches_for_it(sqlite_project: Project) -> None:
    with at_terminal(sqlite_project) as terminal:
        assert len(sessions_processes(terminal.process.pid)) > 1

        os.kill(terminal.process.pid, signal.SIGKILL)

        wait_until(lambda: not sessions_processes(terminal.process.pid), "the worker ends")


def sessions_processes(session: int) -> list[int]:
    """The living processes of a session."""
    return [process for process, _, theirs in processes() if theirs == session]


def processes() -> Iterator[tuple[int, int, int]]:
    """Each living process, its parent and its session, by /proc."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield int(status.parent.name), int(fields[1]), int(fields[3])


def test_nothing_is_reloaded_with_debug_off(sqlite_project: Project) -> None:
    sqlite_project.add_settings("DEBUG = False")
    with at_terminal(sqlite_project) as terminal:
        edit(sqlite_project, "tasks.py", "return x + y", "return x - y")

        assert added(sqlite_project) == 4
        assert terminal.stop() == 0
    assert "reload " not in terminal.output
    assert "Task tasks.add[" in terminal.output

    refused = sqlite_project.manage("celery", "start", "--reload", check=False)
    assert refused.returncode == 2
    assert "--reload needs DEBUG = True" in refused.stderr
