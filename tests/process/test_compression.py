"""Compressed messages, by what each version of kombu compresses them with, on every broker."""

from tests.process.project import Project


def test_tasks_are_compressed_with_zstd(project: Project) -> None:
    project.add_settings('CELERY_TASK_COMPRESSION = "zstd"')
    with project.worker("-c", "1"):
        found = project.python("from tasks import add; result = add.delay('a' * 9000, 'b').get(timeout=30)")

    assert found == "a" * 9000 + "b"
