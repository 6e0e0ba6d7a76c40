"""Celery without Celeriac, with its own defaults, on Redis and RabbitMQ."""

from collections.abc import Mapping

from benchmarks.contestants.base import SLOTS, Contestant, Pool, setting
from benchmarks.places import Place

TITLES = {"redis": "Redis", "rabbitmq": "RabbitMQ", "sqlite": "SQLite", "postgresql": "PostgreSQL"}


def _pool(name: str) -> Pool:
    return Pool(name, ("-m", "celery", "-A", "proj", "worker", "-P", name, "-c", str(SLOTS), "-l", "WARNING"))


def _with_redis_results(broker: str) -> Contestant:
    def settings(places: Mapping[str, Place]) -> str:
        backend = setting("CELERY_RESULT_BACKEND", places["redis-results"].url)
        return f"{setting('CELERY_BROKER_URL', places[broker].url)}\n{backend}"

    return Contestant(
        name=f"celery-{broker}-redis",
        title=f"Celery, {TITLES[broker]}, results in Redis",
        kit="celery_stock",
        module="celery",
        needs=("sqlite", broker, "redis-results"),
        settings=settings,
        pools=(_pool("prefork"), _pool("threads"), _pool("solo")),
    )


def _with_stock_django_db(broker: str, database: str) -> Contestant:
    def settings(places: Mapping[str, Place]) -> str:
        backend = setting("CELERY_RESULT_BACKEND", "django-db")
        return f"{setting('CELERY_BROKER_URL', places[broker].url)}\n{backend}"

    return Contestant(
        name=f"celery-{broker}-{database}",
        title=f"Celery, {TITLES[broker]}, stock django-db in {TITLES[database]}",
        kit="celery_stock",
        module="django_celery_results",
        needs=(database, broker),
        apps=("django_celery_results",),
        settings=settings,
        pools=(_pool("prefork"),),
        is_slow=True,
    )


CONTESTANTS = (
    _with_redis_results("redis"),
    _with_redis_results("rabbitmq"),
    _with_stock_django_db("redis", "sqlite"),
    _with_stock_django_db("redis", "postgresql"),
    _with_stock_django_db("rabbitmq", "postgresql"),
)
