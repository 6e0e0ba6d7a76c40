"""The doctor and the status of a project as startproject makes it, with a worker that runs."""

import json
import socket

from tests.process.project import Project


def test_nothing_is_wrong_beside_a_worker_and_celerys_status_is_there(sqlite_project: Project) -> None:
    project = sqlite_project
    with project.worker("-n", "one@%h", "-c", "1") as worker:
        found = json.loads(project.manage("celery", "doctor", "--json").stdout)
        seen = project.manage("celery", "status")
        asked = project.manage("celery", "status", "--timeout", "20", "--destination", _node())
        assert worker.stop() == 0

    assert found == {"errors": 0, "warnings": 0, "findings": []}
    assert seen.stdout.startswith("all is well\nworkers  1 up   one@")
    for each in (seen, asked):
        assert each.stdout.endswith(f"->  {_node()}: OK\n\n1 node online.\n")

    alone = project.manage("celery", "status", check=False)
    assert alone.returncode == 69


def _node() -> str:
    return f"one@{socket.gethostname()}"


def test_the_doctor_is_there_for_a_project_whose_app_cannot_be_used(sqlite_project: Project) -> None:
    sqlite_project.add_settings('CELERIAC = {"APP": "no.where:app"}')

    ended = sqlite_project.manage("celery", "doctor", "--json", check=False)

    assert ended.returncode == 1
    (finding,) = json.loads(ended.stdout)["findings"]
    assert finding["code"] == "app-not-found"
    assert "CELERIAC['APP'] = 'no.where:app' cannot be imported" in finding["what"]
