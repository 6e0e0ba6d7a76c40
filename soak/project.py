"""A throw-away project for one system: made once, emptied for each row."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.driving import Driver
from benchmarks.limits import MeasurementFailed
from benchmarks.places import Place
from benchmarks.project import APPS, MANAGE
from soak.ledger import Ledger
from soak.own_places import OwnMariaDB, OwnPostgreSQL
from soak.own_servers import OwnServer
from soak.sides import Side
from soak.worker import Worker

HERE = Path(__file__).parent
MIGRATE_SECONDS = 120.0
SETTINGS = """
import json, os
SECRET_KEY = "only for the soak"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = {apps!r}
DATABASES = {{"default": {database!r}}}
globals().update(json.loads({given!r}))
# What a row asks for.
globals().update(json.loads(os.environ.get("SOAK_SETTINGS", "{{}}")))
if "SOAK_FAILING" in os.environ:
    FAULTS_OF, FAULTS_DIRECTORY = DATABASES["default"]["ENGINE"], os.environ["SOAK_LEDGER"]
    DATABASES["default"]["ENGINE"] = "failing"
"""


class Project:
    """Whoever makes it closes it."""

    def __init__(self, side: Side, directory: Path, places: Mapping[str, Place]) -> None:
        self.side = side
        self.directory = directory
        self._places = places
        self._settings: dict[str, Any] = {}
        self._write()
        self._manage("migrate", "-v", "0")
        for place in places.values():
            place.remember()

    @property
    def server(self) -> OwnServer:
        """The database's, where it was started for this project alone."""
        owned = (place for place in self._places.values() if isinstance(place, OwnPostgreSQL | OwnMariaDB))
        return next(owned).server

    def begin_anew(self, settings: dict[str, Any]) -> Ledger:
        """As it was when it was ready, with a row's own settings and an empty ledger; nothing of it runs."""
        self._settings = settings
        for place in self._places.values():
            place.empty()
        for name in ("ledger", "runtime", "logs"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / name).mkdir()
        return Ledger(self.directory / "ledger")

    def driver(self, *, limit_seconds: float) -> Driver:
        """A new web process."""
        command = [sys.executable, "-W", "ignore", "driver.py"]
        return Driver(command, self.directory, self._environment({}), limit_seconds=limit_seconds)

    def start_worker(self, node: str, options: tuple[str, ...], environment: dict[str, str]) -> Worker:
        """Start it, and do not wait."""
        words = [word.format(node=node) for word in self.side.worker]
        return self._start(node, [*words, *options], environment)

    def start_producer(self, order: dict[str, Any], environment: dict[str, str]) -> Worker:
        """Start publishing, and do not wait."""
        return self._start("producer", ["producer.py"], {"SOAK_ORDER": json.dumps(order), **environment})

    def _start(self, name: str, words: list[str], environment: dict[str, str]) -> Worker:
        number = len(list((self.directory / "logs").iterdir()))
        log = self.directory / "logs" / f"{number:03}-{name}.log"
        command = [sys.executable, "-u", "-W", "ignore", *words]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Worker(name, process, log, self.side.ready)

    def _manage(self, *words: str) -> None:
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", *words],
            cwd=self.directory,
            env=self._environment({}),
            capture_output=True,
            text=True,
            timeout=MIGRATE_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise MeasurementFailed(f"manage.py {' '.join(words)}: {ended.stderr[-1500:]}")

    def _write(self) -> None:
        shutil.copytree(HERE / "inside", self.directory)
        # Behind it: who is no Celery has tasks of its own.
        shutil.copytree(HERE / "kits" / self.side.kit, self.directory, dirs_exist_ok=True)
        (self.directory / "manage.py").write_text(MANAGE)
        (self.directory / "proj").mkdir(exist_ok=True)
        (self.directory / "proj" / "__init__.py").touch()
        database = next(found for place in self._places.values() if (found := place.database()))
        text = SETTINGS.format(
            apps=[*APPS, *self.side.apps, "points"],
            database=database,
            given=json.dumps(self.side.settings(self._places)),
        )
        (self.directory / "proj" / "settings.py").write_text(text)

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        ours = ("DJANGO_", "CELERY_", "CELERIAC_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        settings = dict(self._settings)
        if self.side.is_ours:
            runtime = {"RUNTIME_DIRECTORY": str(self.directory / "runtime")}
            settings["CELERIAC"] = {**runtime, **settings.get("CELERIAC", {})}
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "proj.settings",
            "C_FORCE_ROOT": "1",
            "SOAK_LEDGER": str(self.directory / "ledger"),
            "SOAK_SETTINGS": json.dumps(settings),
            **more,
        }
