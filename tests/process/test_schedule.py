"""The schedule in a project: its rows in Django's admin, and a worker of Celery's own command with -B."""

import json
import signal
from pathlib import Path

import pytest

from tests.process.project import Project, wait_until

ADMIN = """
    from django.contrib.auth.models import User
    from django.test import Client
    from celeriac.models import Schedule

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("admin"))
    row = {
        "name": "row", "task": "tasks.ad", "args": "[1, 2]", "kwargs": "{}", "options": "{}",
        "cron": "0 9 * * *", "time_zone": "Europe/Berlin", "catch_up": "once", "is_enabled": "on",
    }
    page = "/admin/celeriac/schedule/"
    bad = client.post(f"{page}add/", {**row, "cron": "0 25 * * *", "args": "{}"}).content.decode()
    good = client.post(f"{page}add/", row, follow=True).content.decode()
    result = {
        "bad": [each in bad for each in ("is no cron expression", "A JSON list is needed")],
        "good": [
            each in good for each in ("&#x27;tasks.ad&#x27;", "&#x27;tasks.add&#x27;", "cron 0 9 * * *")
        ],
        "rows": [[each.name, each.args] for each in Schedule.objects.all()],
    }
    # Written past `save()`: it can be neither saved nor an error of the page.
    Schedule.objects.create(name="past", task="tasks.add", cron="0 9 * * *")
    Schedule.objects.filter(name="past").update(cron="daily")
    lines = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2", "_save": "Save"}
    lines |= {f"form-{place}-id": each.pk for place, each in enumerate(Schedule.objects.order_by("name"))}
    refused = client.post(page, {**lines, "form-1-is_enabled": "on"})
    result["refused"] = [refused.status_code, "cron: 1 fields; five are needed" in refused.content.decode()]
    Schedule.objects.filter(name="past").delete()
"""


def test_rows_are_entered_in_the_admin_and_listed(sqlite_project: Project) -> None:
    done = sqlite_project.python(ADMIN)

    assert done == {
        "bad": [True, True],
        "good": [True, True, True],
        "rows": [["row", [1, 2]]],
        "refused": [200, True],
    }
    listed = json.loads(sqlite_project.manage("celery", "schedule", "--json").stdout)
    row = next(each for each in listed if each["name"] == "row")
    assert (row["source"], row["state"], row["time_zone"]) == ("table", "on", "Europe/Berlin")
    assert sqlite_project.manage("celery", "schedule", "pause", "rwo", check=False).returncode == 2


def test_celerys_worker_carries_the_schedule_with_b_and_no_beat_file(
    sqlite_project: Project, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    entry = f"""{{"task": "tasks.note", "schedule": 0.5, "args": [{str(notes)!r}, "tick"]}}"""
    sqlite_project.add_settings(f'CELERY_BEAT_SCHEDULE = {{"often": {entry}}}')

    with sqlite_project.worker("-B", "-c", "1", "-l", "info", command="worker") as worker:
        wait_until(lambda: notes.exists() and notes.read_text().count("\ntick") >= 2, "the schedule runs")
        assert worker.stop() == 0, worker.output

    assert "Schedule often: tasks.note is published." in worker.output
    assert not list(sqlite_project.directory.glob("celerybeat-schedule*"))
    assert "beat: Starting" not in worker.output


@pytest.mark.parametrize("program", [("manage.py", "celery"), ("-m", "celery", "-A", "proj.celery")])
def test_a_beat_beside_a_worker_has_the_schedule_until_it_is_killed(
    sqlite_project: Project, tmp_path: Path, program: tuple[str, ...]
) -> None:
    project, notes = sqlite_project, tmp_path / "notes"
    project.write(
        "proj/celery.py",
        """
        import os
        from celery import Celery
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
        app = Celery("proj")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
        """,
    )
    entry = f"""{{"task": "tasks.note", "schedule": 1.0, "args": [{str(notes)!r}, "tick"]}}"""
    project.add_settings(f'CELERY_BEAT_SCHEDULE = {{"often": {entry}}}')

    def ticks() -> int:
        return notes.read_text().count("begin tick") if notes.exists() else 0

    beat = project.popen("beat", "-l", "info", "-s", str(tmp_path / "file"), program=program)
    try:
        beat.wait_for_line("leave CELERY_BEAT_SCHEDULE to this beat")
        with project.worker("-c", "1", "-l", "info") as worker:
            worker.wait_for_line("the entries of the settings are left to it")
            wait_until(lambda: ticks() >= 3, "the beat sends")
            assert "Schedule often" not in worker.output
            listed = json.loads(project.manage("celery", "schedule", "list", "often", "--json").stdout)
            assert listed[0]["state"] == "left to beat"
            assert "left to `celery beat`" in project.manage("celery", "status").stdout

            beat.signal(signal.SIGKILL)
            worker.wait_for_line("has ended: workers carry its entries again")
            worker.wait_for_line("Schedule often: tasks.note is published", times=2)
            assert worker.stop() == 0, worker.output
        assert ticks() <= beat.output.count("Sending due task often") + worker.output.count("is published.")
    finally:
        beat.kill_group()
