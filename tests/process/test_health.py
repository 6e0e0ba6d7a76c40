"""The health probe beside running workers: one that lives, one that hangs, one that was killed."""

import json
import signal

from tests.process.project import Project, wait_until

HANGS = """
    import os, time
    from celery import shared_task
    from celery.worker.control import control_command

    @control_command(args=[("path", str)])
    def hang(state, path):
        while os.path.exists(path):
            time.sleep(0.05)
        return {"ok": "turns again"}

    @shared_task
    def nothing():
        pass
"""


def probe(project: Project, *words: str) -> tuple[int, str]:
    ended = project._run(
        "-m", "celeriac.health", "--node", "one", *words, check=False, CELERIAC_RUNTIME_DIRECTORY="runtime"
    )
    return ended.returncode, ended.stdout.strip()


def test_a_worker_that_lives_is_told_from_one_that_hangs_and_one_that_is_gone(
    sqlite_project: Project,
) -> None:
    project = sqlite_project
    project.add_settings('CELERIAC = {"RUNTIME_DIRECTORY": "runtime"}')
    project.write("office/tasks.py", HANGS)
    project.write("held", "")
    assert probe(project) == (69, "No worker is here.")

    with project.worker("-n", "one@%h", "-c", "1") as worker:
        assert probe(project, "--ready")[0] == 0
        project.python(
            "from celeriac.app import get_app\nresult = get_app().control.broadcast('hang', {'path': 'held'})"
        )
        code, said = wait_until(lambda: _if_code(probe(project, "--max-age", "2"), 1), "the hang is seen")
        assert "hangs: its loop has not turned for" in said

        (project.directory / "held").unlink()
        wait_until(lambda: probe(project, "--max-age", "2")[0] == 0, "the loop turns again")
        assert (
            json.loads(project.manage("celery", "health", "--node", "one", "--json").stdout)["status"]
            == "healthy"
        )

        worker.signal(signal.SIGKILL)
        worker.wait()
        # The processes of its pool, which it forked, do not keep its lock.
        code, said = probe(project)

    assert code == 69
    assert said.endswith("its process is gone")


def _if_code(found: tuple[int, str], code: int) -> tuple[int, str] | None:
    return found if found[0] == code else None


def test_a_solo_worker_is_busy_and_one_that_is_told_to_end_stops(sqlite_project: Project) -> None:
    project = sqlite_project
    project.add_settings('CELERIAC = {"RUNTIME_DIRECTORY": "runtime"}')

    with project.worker("-n", "one@%h", "-P", "solo") as worker:
        project.python("from tasks import hold; result = hold.delay('notes', 'gate').id")
        wait_until(lambda: "working" in probe(project, "--max-age", "0")[1], "the task runs")
        worker.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in probe(project)[1], "it waits for its task")
        assert (probe(project)[0], probe(project, "--ready")[0]) == (0, 1)

        project.write("gate", "")
        assert worker.wait() == 0

    assert probe(project) == (69, "No worker is here.")
