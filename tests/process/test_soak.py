"""`make soak` works: two rows of the short form on SQLite, with their report."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Of a run that takes twenty on a machine with nothing else to do.
LIMIT_SECONDS = 200


def soak(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "soak", *words],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_a_short_run_deals_its_faults_and_reports_what_it_counted(tmp_path):
    words = ("--size", "short", "--only", "celeriac-sqlite", "--row", "F1", "--row", "F2", "--seed", "7")

    ended = soak(*words, "--write", str(tmp_path))

    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    values = json.loads((tmp_path / "reliability.json").read_text())
    assert [(each["row"], each["seed"], each["blows"]) for each in values["outcomes"]] == [
        ("F1", 7, 0),
        ("F2", 7, 3),
    ]
    assert {each["counts"]["lost"] for each in values["outcomes"]} == {0}
    page = (tmp_path / "reliability.md").read_text()
    assert "## Celeriac, SQLite" in page
    assert "| F2 | a worker is killed | 3 | 300 | 300 | 300 | 0 |" in page


def test_a_row_that_nobody_has_is_answered_with_those_there_are():
    ended = soak("--row", "F0")

    assert ended.returncode == 1
    assert "F8 publish" in ended.stderr
