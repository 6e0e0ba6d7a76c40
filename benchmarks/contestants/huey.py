"""Huey on SQLite, in a file of its own beside the project's, with threads and with processes."""

from collections.abc import Mapping

from benchmarks.contestants.base import SLOTS, Contestant, Pool
from benchmarks.places import Place


def _settings(_: Mapping[str, Place]) -> str:
    return (
        'HUEY = {"huey_class": "huey.SqliteHuey", "name": "bench", "immediate": False,'
        ' "filename": str(BASE_DIR / "huey.sqlite3")}'
    )


def _pool(name: str, kind: str) -> Pool:
    return Pool(name, ("manage.py", "run_huey", "--worker-type", kind, "--workers", str(SLOTS), "--quiet"))


CONTESTANTS = (
    Contestant(
        name="huey-sqlite",
        title="Huey, SQLite",
        kit="huey",
        module="huey",
        needs=("sqlite",),
        apps=("huey.contrib.djhuey", "work"),
        settings=_settings,
        pools=(_pool("threads", "thread"), _pool("processes", "process")),
        note="Huey stores results as pickled values, and loses a task that runs when its worker is killed.",
    ),
)
