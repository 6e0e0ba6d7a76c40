"""Celeriac: on each database alone, and with Redis or RabbitMQ as broker."""

from collections.abc import Mapping

from benchmarks.contestants.base import SLOTS, Contestant, Pool, setting
from benchmarks.places import Place

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}
BROKERS = {"redis": "Redis", "rabbitmq": "RabbitMQ"}


def _pool(name: str) -> Pool:
    return Pool(
        name,
        ("manage.py", "celery", "start", "-P", name, "-c", str(SLOTS), "-l", "WARNING", "-n", "bench@%h"),
    )


def _on_database(name: str) -> Contestant:
    return Contestant(
        name=f"celeriac-{name}",
        title=f"Celeriac, {DATABASES[name]}",
        kit="celery",
        module="celeriac",
        needs=(name,),
        apps=("django_celery_results", "celeriac"),
        pools=(_pool("prefork"), _pool("threads"), _pool("solo")),
        has_bulk=True,
        can_claim=True,
        measures=frozenset({"enqueue", "drain", "idle", "pickup", "claim"}),
    )


def _on_broker(name: str) -> Contestant:
    def settings(places: Mapping[str, Place]) -> str:
        return setting("CELERY_BROKER_URL", places[name].url)

    return Contestant(
        name=f"celeriac-{name}",
        title=f"Celeriac, {BROKERS[name]}, results in PostgreSQL",
        kit="celery",
        module="celeriac",
        needs=("postgresql", name),
        apps=("django_celery_results", "celeriac"),
        settings=settings,
        pools=(_pool("prefork"), _pool("threads")),
        has_bulk=True,
    )


CONTESTANTS = (*map(_on_database, DATABASES), *map(_on_broker, BROKERS))
