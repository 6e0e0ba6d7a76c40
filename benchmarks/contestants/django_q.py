"""django-q2 with its broker in the database."""

from collections.abc import Mapping

from benchmarks.contestants.base import SLOTS, Contestant, Pool
from benchmarks.places import Place

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _settings(_: Mapping[str, Place]) -> str:
    # Every result is kept, as by the others; its default is the last 250.
    return (
        f'Q_CLUSTER = {{"name": "bench", "orm": "default", "workers": {SLOTS}, "save_limit": 0,'
        ' "timeout": 60, "retry": 120, "log_level": "WARNING", "catch_up": False}'
    )


def _on_database(database: str) -> Contestant:
    return Contestant(
        name=f"django-q2-{database}",
        title=f"django-q2, {DATABASES[database]}",
        kit="django_q",
        module="django_q",
        needs=(database,),
        apps=("django_q",),
        settings=_settings,
        pools=(Pool("processes", ("manage.py", "qcluster")),),
        is_slow=True,
    )


CONTESTANTS = tuple(map(_on_database, DATABASES))
