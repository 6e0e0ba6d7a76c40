"""The two backends of Django's own tasks that keep them in the database: django-tasks-db and django-ox."""

from collections.abc import Mapping

from benchmarks.contestants.base import SLOTS, Contestant, Pool
from benchmarks.places import Place

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _django_tasks_db(database: str) -> Contestant:
    def settings(_: Mapping[str, Place]) -> str:
        return 'TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}'

    # Its worker runs one task at a time: two workers.
    processes = Pool("processes", ("manage.py", "db_worker", "--no-reload", "-v", "0"), copies=SLOTS)
    return Contestant(
        name=f"django-tasks-db-{database}",
        title=f"django-tasks-db, {DATABASES[database]}",
        kit="django_tasks",
        module="django_tasks_db",
        needs=(database,),
        apps=("django_tasks_db",),
        settings=settings,
        pools=(processes,),
        is_slow=True,
    )


def _django_ox(database: str) -> Contestant:
    def settings(_: Mapping[str, Place]) -> str:
        return 'TASKS = {"default": {"BACKEND": "django_ox.backend.OxBackend"}}'

    threads = Pool("threads", ("manage.py", "ox_worker", "--concurrency", str(SLOTS), "-v", "0"))
    return Contestant(
        name=f"django-ox-{database}",
        title=f"django-ox, {DATABASES[database]}",
        kit="django_tasks",
        module="django_ox",
        needs=(database,),
        apps=("django_ox",),
        settings=settings,
        pools=(threads,),
        is_slow=True,
        has_bulk=True,
    )


CONTESTANTS = (*map(_django_tasks_db, DATABASES), *map(_django_ox, DATABASES))
