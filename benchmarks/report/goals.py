"""What Celeriac has set itself, as ratios within one run: each with what must be reached, and what should."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.records import Records

Value = Callable[[Records], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """A line of the table; `is_ceiling`: the value must not be above."""

    what: str
    value: Value
    must: float
    goal: float
    unit: str
    is_ceiling: bool = False

    def verdict(self, value: float) -> str:
        """In a word."""
        if self._holds(value, self.goal):
            return "goal"
        return "must" if self._holds(value, self.must) else "short"

    def _holds(self, value: float, mark: float) -> bool:
        return value <= mark if self.is_ceiling else value >= mark


def _median(name: str, pool: str, figure: str) -> Value:
    return lambda records: records.median(name, pool, figure)


def _percentile(name: str, figure: str, share: float) -> Value:
    return lambda records: records.percentile(name, "prefork", figure, share)


def _drain(name: str, pool: str = "prefork") -> Value:
    return _median(name, pool, "drain")


def _ratio(ours: Value, theirs: Value, *, times: float = 1.0) -> Value:
    def value(records: Records) -> float | None:
        above, below = ours(records), theirs(records)
        return None if above is None or not below else times * above / below

    return value


SQLITE, POSTGRESQL = "celeriac-sqlite", "celeriac-postgresql"
REDIS = _drain("celery-redis-redis")
STOCK_ON_REDIS = _drain("celery-redis-postgresql")
STOCK_ON_RABBITMQ = _drain("celery-rabbitmq-postgresql")


def _beside(title: str, name: str, pool: str) -> list[Goal]:
    """The same database with the same two slots."""
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return [
        Goal(
            f"drain, prefork, {names[database]}, beside {title} there",
            _ratio(_drain(f"celeriac-{database}"), _drain(f"{name}-{database}", pool)),
            4,
            8,
            "×",
        )
        for database in names
    ]


def _pickup(title: str, name: str) -> list[Goal]:
    return [
        Goal(f"pick-up p50, idle worker, {title}", _percentile(name, "pick-up idle", 0.5), 5, 2, "ms", True),
        Goal(
            f"pick-up p95, idle worker, {title}", _percentile(name, "pick-up idle", 0.95), 10, 4, "ms", True
        ),
    ]


GOALS = (
    Goal(
        "drain, prefork, SQLite, beside Celery on Redis with Redis results",
        _ratio(_drain(SQLITE), REDIS),
        2.5,
        4,
        "×",
    ),
    Goal("drain, prefork, PostgreSQL, beside the same", _ratio(_drain(POSTGRESQL), REDIS), 2, 3, "×"),
    Goal(
        "drain, threads, SQLite, beside Huey with threads",
        _ratio(_drain(SQLITE, "threads"), _drain("huey-sqlite", "threads")),
        0.9,
        1.5,
        "×",
    ),
    *_beside("django-ox", "django-ox", "threads"),
    *_beside("django-tasks-db", "django-tasks-db", "processes"),
    Goal(
        "drain, prefork, PostgreSQL, beside procrastinate",
        _ratio(_drain(POSTGRESQL), _drain("procrastinate-postgresql", "threads")),
        2,
        4,
        "×",
    ),
    Goal(
        "drain on Redis with our django-db, beside the stock one",
        _ratio(_drain("celeriac-redis"), STOCK_ON_REDIS),
        5,
        8,
        "×",
    ),
    Goal(
        "drain on RabbitMQ with our django-db, beside the stock one",
        _ratio(_drain("celeriac-rabbitmq"), STOCK_ON_RABBITMQ),
        5,
        8,
        "×",
    ),
    Goal(
        "share of Celery's own ceiling, prefork, SQLite",
        _ratio(_drain(SQLITE), _drain("celery-ceiling"), times=100),
        75,
        100,
        "%",
    ),
    Goal(
        "single delay() on SQLite, beside Celery on Redis",
        _ratio(
            _median(SQLITE, "prefork", "enqueue single"),
            _median("celery-redis-redis", "prefork", "enqueue single"),
        ),
        2,
        4,
        "×",
    ),
    Goal("bulk enqueue, SQLite", _median(SQLITE, "prefork", "enqueue bulk"), 20_000, 50_000, "/s"),
    Goal("bulk enqueue, PostgreSQL", _median(POSTGRESQL, "prefork", "enqueue bulk"), 15_000, 50_000, "/s"),
    *_pickup("SQLite", SQLITE),
    *_pickup("PostgreSQL", POSTGRESQL),
    Goal(
        "claim p95 beside the backlog, PostgreSQL", _percentile(POSTGRESQL, "claim", 0.95), 20, 5, "ms", True
    ),
    Goal("claim p95 beside the backlog, SQLite", _percentile(SQLITE, "claim", 0.95), 50, 10, "ms", True),
)
