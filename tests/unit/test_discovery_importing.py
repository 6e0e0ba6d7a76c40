"""Importing what was accepted: once, from any thread, and never past a file that fails."""

import pytest

from tests.unit.test_discovery_project import Project, project

__all__ = ["project"]

TASK = "from celery import shared_task\n@shared_task\ndef work(): pass\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TASK + "1 / 0", "billing/tasks.py cannot be imported: line 4: ZeroDivisionError: division by zero"),
        (TASK + "def :", "billing/tasks.py cannot be imported: line 4: SyntaxError: invalid syntax"),
        (
            TASK + "import not_there",
            "billing/tasks.py cannot be imported: line 4: ModuleNotFoundError: No module named 'not_there'",
        ),
        (
            TASK + "import billing.broken",
            "billing/tasks.py cannot be imported: billing/broken.py, line 2: ValueError: two lines",
        ),
        (
            TASK + "import billing.wrong",
            "billing/tasks.py cannot be imported: billing/wrong.py, line 3: SyntaxError: invalid syntax",
        ),
        (
            TASK + "import heapq\nnext(heapq.merge())",
            "billing/tasks.py cannot be imported: line 5: StopIteration",
        ),
        (TASK + "raise SystemExit(0)", "billing/tasks.py cannot be imported: line 4: SystemExit: 0"),
    ],
)
def test_failure_is_one_line_with_file_line_and_error(project: Project, source: str, message: str) -> None:
    project.write("billing/tasks.py", source)
    project.write("billing/broken.py", "\nraise ValueError('two\\n  lines')")
    project.write("billing/wrong.py", "\n\ndef :")

    assert project.discover() == {"failed": message}


def test_syntax_error_stops_before_anything_is_imported(project: Project) -> None:
    project.task("a/tasks.py")
    project.write("b/tasks.py", "def :")

    assert "b/tasks.py" in project.discover()["failed"]
    assert project.marked() == set()


def test_scan_lists_a_syntax_error_without_raising(project: Project) -> None:
    project.write("billing/tasks.py", "def :")

    assert project.scan() == {
        "billing/tasks.py": ["billing.tasks", None, "line 1: SyntaxError: invalid syntax"]
    }


def test_scan_imports_nothing(project: Project) -> None:
    project.task("billing/tasks.py")
    project.write("billing/__init__.py", "raise RuntimeError")

    assert project.scan()["billing/tasks.py"][0] == "billing.tasks"
    assert project.marked() == set()


def test_file_outside_apps_without_a_task_is_left_out(project: Project) -> None:
    project.write("scripts/tasks.py", "from invoke import task\n@task\ndef build(c): pass\n")

    assert project.scan() == {
        "scripts/tasks.py": [None, "defines no task; if it does, add 'scripts.tasks' to CELERY_IMPORTS", None]
    }


def test_import_that_loads_another_file_is_an_error(project: Project) -> None:
    project.write("billing/__init__.py", "import os\n__path__ = [os.path.dirname(__file__) + '/../other']")
    project.task("billing/tasks.py")
    project.write("other/tasks.py", "x = 1")

    failed = project.discover()["failed"]

    assert failed.startswith("billing/tasks.py: import billing.tasks loads ")
    assert project.marked() == set()


def test_many_threads_and_a_file_that_discovers_import_each_file_once(project: Project) -> None:
    for name in "abc":
        # Its import takes a while, so that the other threads come to it meanwhile.
        project.write(
            f"{name}/tasks.py",
            TASK + "import sys, time\nfrom celeriac.discovery import discover\n"
            f"sys.runs = getattr(sys, 'runs', []) + ['{name}']\ntime.sleep(0.05)\ndiscover()\n",
        )

    project.run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool: list(pool.map(lambda _: discover(), range(8)))\n"
        "assert sorted(sys.runs) == ['a', 'b', 'c'], sys.runs"
    )


def test_names_are_those_the_file_registered(project: Project) -> None:
    project.write(
        "billing/tasks.py",
        TASK + "@shared_task(name='billing.pay')\ndef pay(): pass\nfrom jobs import other\n",
    )
    project.write("jobs.py", TASK.replace("work", "other"))
    project.write("shop/tasks/__init__.py", "from .emails import work")
    project.write("shop/tasks/emails.py", TASK)

    project.run(
        "from celery import Celery\n"
        "app = Celery('proj'); app.set_default()\n"
        "names = {file.shown: names_of(file, app) for file in discover()}\n"
        "assert names == {'billing/tasks.py': ['billing.pay', 'billing.tasks.work'],"
        " 'shop/tasks/__init__.py': ['shop.tasks.emails.work']}, names"
    )
