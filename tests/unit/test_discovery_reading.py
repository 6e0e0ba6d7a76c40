"""What counts as a file that registers a task, decided without running it."""

from pathlib import Path

import pytest

from celeriac.discovery.reading import read

DEF = "\ndef work(): pass\n"


@pytest.mark.parametrize(
    "source",
    [
        "from celery import shared_task\n@shared_task" + DEF,
        "from celery import shared_task as job\n@job" + DEF,
        "import celery\n@celery.shared_task(bind=True)" + DEF,
        "from proj.celery import app\n@app.task" + DEF,
        "from proj.celery import app\n@app.task(bind=True, queue='slow')" + DEF,
        "@get_app().task" + DEF,
        "from django.tasks import task\n@task()" + DEF,
        "from .tools import tenant_task\n@tenant_task" + DEF,
        "from celery import shared_task\nwork = shared_task(print)",
        "from proj import celery_app\ncelery_app.register_task(Work())",
        "from proj import celery_app\ncelery_app.tasks.register(Work())",
        "from celery import Task\nclass Work(Task): pass",
        "import celery\nclass Work(celery.Task): pass",
        "class Work(BaseTask): pass",
        "from celery import current_app\n@current_app.on_after_finalize.connect" + DEF,
        "from proj.celery import app\n@app.on_after_configure.connect" + DEF,
        "if True:\n    from celery import shared_task\n    @shared_task\n    async def work(): pass",
    ],
)
def test_registers(tmp_path: Path, source: str) -> None:
    assert read(_file(tmp_path, source), "tasks").registers


@pytest.mark.parametrize(
    "source",
    [
        "",
        "def task(): pass\ntask()",
        "from invoke import task\n@task" + DEF,
        "import invoke\n@invoke.task(default=True)" + DEF,
        "from huey.contrib.djhuey import db_task\n@db_task()" + DEF,
        "from locust import task\n@task(3)" + DEF,
        "import luigi\nclass Work(luigi.Task): pass",
        "from proj.celery import app\napp.send_task('work')",
        "from .jobs import work",
    ],
)
def test_does_not_register(tmp_path: Path, source: str) -> None:
    content = read(_file(tmp_path, source), "tasks")

    assert not content.registers
    assert content.error is None


@pytest.mark.parametrize("source", ["from .emails import send", "from shop.tasks.emails import send"])
def test_package_of_tasks_registers_what_it_imports_from_within(tmp_path: Path, source: str) -> None:
    path = tmp_path / "tasks/__init__.py"
    path.parent.mkdir()
    path.write_text(source)

    assert read(str(path), "shop.tasks").registers


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\ndef :\n", 2),
        ("{{ name }} = 1", 1),
        ("x = '\x00'", 1),
        ("\n" * 4 + " x = 1", 5),
        ("x=" + "(" * 500, 1),
    ],
)
def test_error_names_the_line(tmp_path: Path, source: str, line: int) -> None:
    error = read(_file(tmp_path, source), "tasks").error

    assert str(error).startswith(f"line {line}: ")
    assert "Error: " in str(error)


def test_encodings_and_doubtful_escapes_are_read_as_python_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "tasks.py"
    path.write_bytes(b"# coding: latin-1\nname = '\xe9'\npattern = '\\d'\n")

    assert read(str(path), "tasks").error is None


def _file(directory: Path, source: str) -> str:
    path = directory / "tasks.py"
    path.write_text(source)
    return str(path)
