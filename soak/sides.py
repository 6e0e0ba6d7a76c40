"""The systems under test: what a project of each has, and how its worker is started."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from benchmarks.places import Place

#: Tasks at once in each worker; there are two workers.
CONCURRENCY = 2
SLOTS_OF_ALL = 2 * CONCURRENCY
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
BROKERS = {"rabbitmq": "RabbitMQ", "redis": "Redis"}
_OURS = ("manage.py", "celery", "start", "-c", str(CONCURRENCY), "-n", "{node}@%h")
_CELERYS = ("-m", "celery", "-A", "proj", "worker", "-c", str(CONCURRENCY), "-n", "{node}@%h", "-l", "INFO")
_DJANGOS = ("manage.py", "db_worker", "--no-reload", "-v", "2")
#: Where Redis gives back what a killed worker held, for every row: its tasks are shorter than that.
VISIBILITY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Side:
    """One system on its places."""

    name: str
    title: str
    kit: str
    module: str
    #: Kinds of places, the database first.
    needs: tuple[str, ...]
    apps: tuple[str, ...]
    settings: Callable[[Mapping[str, Place]], dict[str, Any]]
    #: What Python is given; `{node}` is the worker's name.
    worker: tuple[str, ...]
    #: A worker that says so takes tasks.
    ready: re.Pattern[str]
    is_ours: bool = False
    #: Workers that run one task at a time are started as often as makes up for it.
    copies: int = 1
    #: How much longer than by itself something may take that a killed worker held.
    slack_seconds: float = 0.0

    @property
    def place(self) -> str:
        """What carries the messages."""
        return self.needs[-1] if self.is_ours else self.name

    def reason_missing(self) -> str | None:
        """Why it cannot take part in this environment; None when it can."""
        if find_spec(self.module) is None:
            return f"the Python module {self.module} is missing; `make soak` installs it"
        return None


def _ours(name: str, title: str, needs: tuple[str, ...]) -> Side:
    def settings(places: Mapping[str, Place]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if len(needs) > 1:
            given["CELERY_BROKER_URL"] = places[needs[1]].url
        if "redis" in needs:
            given["CELERY_BROKER_TRANSPORT_OPTIONS"] = {"visibility_timeout": VISIBILITY_SECONDS}
        return given

    return Side(
        name=f"celeriac-{name}",
        title=title,
        kit="celeriac",
        module="celeriac",
        needs=needs,
        apps=("django_celery_results", "celeriac"),
        settings=settings,
        worker=_OURS,
        ready=re.compile(r" ready\.$", re.MULTILINE),
        is_ours=True,
        # kombu looks for what it has to give back every 100 s.
        slack_seconds=120.0 if "redis" in needs else 0.0,
    )


def _stock(places: Mapping[str, Place]) -> dict[str, Any]:
    return {
        "CELERY_BROKER_URL": places["redis"].url,
        "CELERY_RESULT_BACKEND": places["redis-results"].url,
    }


ALL: tuple[Side, ...] = (
    *(_ours(name, f"Celeriac, {title}", (name,)) for name, title in DATABASES.items()),
    *(
        _ours(name, f"Celeriac, {title}, results in PostgreSQL", ("postgresql", name))
        for name, title in BROKERS.items()
    ),
    Side(
        name="celery-redis",
        title="Celery, Redis, results in Redis",
        kit="celery_stock",
        module="celery",
        needs=("sqlite", "redis", "redis-results"),
        apps=(),
        settings=_stock,
        worker=_CELERYS,
        ready=re.compile(r" ready\.$", re.MULTILINE),
    ),
    Side(
        name="django-tasks-db",
        title="django-tasks-db, PostgreSQL",
        kit="django_tasks",
        module="django_tasks_db",
        needs=("postgresql",),
        apps=("django_tasks_db",),
        settings=lambda _: {"TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}},
        worker=_DJANGOS,
        ready=re.compile(r"Starting worker", re.IGNORECASE),
        copies=CONCURRENCY,
    ),
)


def side(name: str) -> Side:
    """By its name."""
    return next(each for each in ALL if each.name == name)
