"""A project whose database fails on demand, and the account of what became of its tasks.

The project's ENGINE is its real one in which statements fail as the file `faults.json` says: so every process
of the project has the faults.
"""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process.project import Project

#: Whose engine the soak has, too.
ENGINE = Path(__file__).parents[2] / "soak" / "inside" / "failing"

TASKS = """
    import os
    from celery import shared_task

    @shared_task
    def note(path, text):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{text}\\n".encode())
        os.close(file)
        return text

    @shared_task
    def fail(path, text):
        note(path, text)
        raise ValueError(text)
"""


def with_faults(project: Project) -> Project:
    """Let its database fail from now on as `plan` says."""
    shutil.copytree(ENGINE, project.directory / "failing")
    project.write("tasks.py", TASKS)
    project.add_settings(
        """
        FAULTS_OF, FAULTS_DIRECTORY = DATABASES["default"]["ENGINE"], BASE_DIR
        DATABASES["default"]["ENGINE"] = "failing"
        """
    )
    return project


def plan(project: Project, **of_roles: dict[str, Any]) -> None:
    """What fails from now on in processes of a role, `worker` or `publisher`; nothing ends all faults."""
    unready = project.directory / "faults.new"
    unready.write_text(json.dumps(of_roles))
    unready.rename(project.directory / "faults.json")


def injected(project: Project) -> list[str]:
    """Each fault that there was, with the statement that failed."""
    file = project.directory / "faults.log"
    return file.read_text().splitlines() if file.exists() else []


@dataclass(frozen=True, slots=True)
class Account:
    """Tasks that a publisher was told of, against the lines that runs left in the ledger."""

    acknowledged: set[str]
    attempted: set[str]
    runs: Counter[str]

    @property
    def lost(self) -> set[str]:
        return self.acknowledged - self.runs.keys()

    @property
    def unexpected(self) -> set[str]:
        return self.runs.keys() - self.attempted

    @property
    def duplicates(self) -> int:
        return sum(self.runs.values()) - len(self.runs)


def account(ledger: Path, acknowledged: set[str], attempted: set[str] | None = None) -> Account:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return Account(acknowledged, acknowledged if attempted is None else attempted, Counter(lines))
