"""A task file in which no task was seen is named at the start, and named in CELERY_IMPORTS it is imported."""

from tests.process.project import Project


def test_the_banner_names_a_file_without_a_task_until_it_is_imported(sqlite_project: Project) -> None:
    sqlite_project.write(
        "proj/jobs.py", "from celery import shared_task\n\ndef job(f): return shared_task(f)\n"
    )
    sqlite_project.write("mail/tasks.py", "from proj.jobs import job\n\n@job\ndef send(): return 'sent'\n")
    left_out = "left out mail/tasks.py: defines no task; if it does, add 'mail.tasks' to CELERY_IMPORTS"

    with sqlite_project.worker("-c", "1") as worker:
        assert left_out in worker.output

    sqlite_project.add_settings("CELERY_IMPORTS = ['mail.tasks']")
    with sqlite_project.worker("-c", "1") as worker:
        assert "left out" not in worker.output
        assert "mail.tasks.send" in worker.output
        assert (
            sqlite_project.python("from mail.tasks import send; result = send.delay().get(timeout=30)")
            == "sent"
        )
