"""The benchmark works: one round of a few tasks on SQLite; what it measured is not looked at."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Of a run that takes fifteen on a machine with nothing else to do.
LIMIT_SECONDS = 240
FIGURES = ("enqueue single", "enqueue bulk", "drain", "start-up", "pick-up idle", "pick-up loaded", "claim")
MEASURED = {"prefork": set(FIGURES), "threads": {"drain", "start-up"}, "solo": {"drain", "start-up"}}


def benchmark(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def test_a_tiny_round_measures_everything_and_reports_it(tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"

    # One test, not four: the round is what takes the time.
    measured = benchmark("--size", "tiny", "--only", "celeriac-sqlite", "--write", str(first))
    assert measured.returncode == 0, f"{measured.stdout}\n{measured.stderr}"
    assert_everything_was_measured(json.loads((first / "benchmark.json").read_text()))
    assert_everything_is_reported(first)

    reported = benchmark("--read", str(first / "benchmark.json"), "--write", str(again))
    assert reported.returncode == 0, reported.stderr
    for name in ("benchmark.md", "benchmark.svg", "benchmark.json"):
        assert (again / name).read_text() == (first / name).read_text()


def assert_everything_was_measured(content):
    found: dict[str, set[str]] = {}
    for each in content["values"]:
        found.setdefault(each["pool"], set()).add(each["figure"])
        assert each["rounds"][0], each
    for pool, figures in MEASURED.items():
        assert figures <= found[pool]
    assert content["failures"] == content["left_out"] == []


def assert_everything_is_reported(directory):
    page = (directory / "benchmark.md").read_text()
    chart = ET.parse(directory / "benchmark.svg")  # noqa: S314 - written by ourselves

    for title in ("Drain", "Enqueue", "Pick-up", "Claim beside a backlog"):
        assert f"## {title}\n" in page
    assert "| pick-up p50, idle worker, SQLite |" in page
    assert len(chart.findall(".//{http://www.w3.org/2000/svg}rect")) == 1


def test_a_name_that_nobody_has_is_answered_with_those_there_are():
    ended = benchmark("--only", "nobody")

    assert ended.returncode == 1
    assert "celeriac-sqlite" in ended.stderr
