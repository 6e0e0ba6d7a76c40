"""Fault F29: a queue is paused and resumed, on each database and broker, with a worker and without."""

import json
from pathlib import Path

from tests.process.project import Project, wait_until

WORKER = ("-c", "1", "-Q", "celery,mails")


def send(project: Project, notes: Path, text: str) -> None:
    project.python(
        f"""
        from tasks import note
        note.apply_async(({str(notes)!r}, {text!r}), queue="mails")
        result = None
        """
    )


def work_elsewhere(project: Project) -> None:
    assert project.python("from tasks import add; result = add.delay(1, 1).get(timeout=60)") == 2


def written(notes: Path) -> list[str]:
    return [line for line in notes.read_text().split("\n") if line and "begin" not in line]


def test_nothing_is_taken_from_a_paused_queue(project: Project, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert project.manage("celery", "pause", "mails").stdout == "Paused: mails.\n"
    send(project, notes, "first")

    with project.worker(*WORKER) as worker:
        work_elsewhere(project)
        assert not notes.exists(), worker.output

        assert project.manage("celery", "resume", "mails").stdout == "No queue is paused.\n"
        wait_until(lambda: notes.exists() and written(notes) == ["first"], "it is taken")

        project.manage("celery", "pause", "mails")
        wait_until(lambda: worker.output.count("Queue mails is paused") == 2, "the worker has left the queue")
        send(project, notes, "second")
        work_elsewhere(project)
        assert written(notes) == ["first"], worker.output
        assert worker.stop() == 0, worker.output

    with project.worker(*WORKER) as worker:
        work_elsewhere(project)
        assert written(notes) == ["first"], worker.output
        project.manage("celery", "resume", "mails")
        wait_until(lambda: written(notes) == ["first", "second"], "it is taken after all")


def test_a_queue_can_be_paused_without_the_broker(sqlite_project: Project) -> None:
    sqlite_project.add_settings("CELERY_BROKER_URL = 'redis://127.0.0.1:1/0'")

    done = sqlite_project.manage("celery", "pause", "mails")

    assert done.stdout == "Paused: mails.\n"
    assert "The workers could not be told, and find out within 30 s" in done.stderr
    assert "Traceback" not in done.stderr


def test_pausing_is_told_in_words_and_in_json(sqlite_project: Project) -> None:
    misspelt = sqlite_project.manage("celery", "pause", "celer")
    listed = sqlite_project.manage("celery", "pause", "--json")
    wrong = sqlite_project.manage("celery", "resume", "--all", check=False)

    assert "No queue 'celer' is known yet. Did you mean 'celery'?" in misspelt.stderr
    assert json.loads(listed.stdout) == {"paused": ["celer"]}
    assert wrong.returncode == 2
    assert "celery: resume: no option '--all'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
