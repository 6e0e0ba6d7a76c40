"""Where messages and results wait during a run: places of its own on each server, given back at the end."""

from benchmarks.places.base import Place, Unreachable
from benchmarks.places.mariadb import MariaDB
from benchmarks.places.postgresql import PostgreSQL
from benchmarks.places.rabbitmq import RabbitMQ
from benchmarks.places.redis import Redis
from benchmarks.places.sqlite import SQLite

KINDS: dict[str, type[Place]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": Redis,
    "redis-results": Redis,
    "rabbitmq": RabbitMQ,
}

__all__ = ("KINDS", "Place", "Unreachable")
