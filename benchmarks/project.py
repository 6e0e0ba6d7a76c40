"""A contestant's throw-away Django project: its files, its driver and its workers."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.contestants import Contestant, Pool
from benchmarks.driving import Driver
from benchmarks.limits import MeasurementFailed
from benchmarks.places import Place
from benchmarks.stamps import Stamps

HERE = Path(__file__).parent
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path
BASE_DIR = Path({directory!r})
SECRET_KEY = "only for the benchmark"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = {apps!r}
DATABASES = {{"default": {database!r}}}
{more}
"""
APPS = ("django.contrib.contenttypes", "django.contrib.auth")
STOP_SECONDS = 10.0
MIGRATE_SECONDS = 120.0


class Project:
    """Made once for a run; `close` ends what still runs of it."""

    def __init__(self, contestant: Contestant, directory: Path, places: Mapping[str, Place]) -> None:
        self.contestant = contestant
        self.directory = directory
        self.places = places
        self._workers: list[subprocess.Popen[bytes]] = []
        self._write()
        self.stamps = Stamps(directory)
        self.manage("migrate", "-v", "0")
        for place in places.values():
            place.remember()

    @property
    def database(self) -> Place:
        return next(place for place in self.places.values() if place.database())

    @property
    def processes(self) -> list[int]:
        """Of the workers that run, without their children."""
        return [worker.pid for worker in self._workers]

    def empty(self) -> None:
        """As it was when it was ready; no worker runs."""
        for place in self.places.values():
            place.empty()
        self.stamps.clear()

    def manage(self, *words: str) -> None:
        """Run `manage.py`. Raises MeasurementFailed with what it said."""
        command = [sys.executable, "-W", "ignore", "manage.py", *words]
        ended = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=MIGRATE_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise MeasurementFailed(f"manage.py {' '.join(words)}: {ended.stderr[-1500:]}")

    def driver(self, *, limit_seconds: float) -> Driver:
        """A new web process."""
        command = [sys.executable, "-W", "ignore", "driver.py"]
        return Driver(command, self.directory, self._environment(), limit_seconds=limit_seconds)

    def start_worker(self, pool: Pool, *, count: int) -> None:
        """Start it, and do not wait."""
        words = [word.format(count=count) for word in pool.command]
        for _ in range(pool.copies):
            with (self.directory / "worker.log").open("ab") as log:
                self._workers.append(
                    subprocess.Popen(
                        [sys.executable, "-W", "ignore", *words],
                        cwd=self.directory,
                        env=self._environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

    def check_worker(self) -> None:
        """Raises MeasurementFailed when a worker has ended by itself."""
        if any(worker.poll() is not None for worker in self._workers):
            raise MeasurementFailed(f"the worker ended: {self.log()[-1500:]}")

    def stop_worker(self) -> None:
        """As an administrator would; what does not stop within the time is killed with its children."""
        for worker in self._workers:
            worker.send_signal(signal.SIGINT)
        for worker in self._workers:
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            _kill_group(worker)
        self._workers.clear()

    def log(self) -> str:
        """What its workers said."""
        file = self.directory / "worker.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def close(self) -> None:
        self.stop_worker()

    def _write(self) -> None:
        shutil.copytree(HERE / "kits" / self.contestant.kit, self.directory)
        for name in ("stamp.py", "driver.py"):
            shutil.copy(HERE / "inside" / name, self.directory)
        (self.directory / "manage.py").write_text(MANAGE)
        (self.directory / "proj").mkdir(exist_ok=True)
        (self.directory / "proj" / "__init__.py").touch()
        settings = SETTINGS.format(
            directory=str(self.directory),
            apps=[*APPS, *self.contestant.apps],
            database=self.database.database(),
            more=self.contestant.settings(self.places),
        )
        (self.directory / "proj" / "settings.py").write_text(settings)

    def _environment(self) -> dict[str, str]:
        ours = ("DJANGO_", "CELERY_", "CELERIAC_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "BENCH_PROJECT": str(self.directory),
            "DJANGO_SETTINGS_MODULE": "proj.settings",
            "C_FORCE_ROOT": "1",
        }


def _kill_group(worker: "subprocess.Popen[bytes]") -> None:
    """Whatever is left of it and of its children."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()
