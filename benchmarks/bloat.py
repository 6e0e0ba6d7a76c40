"""What a transaction that stays open does to PostgreSQL's table of messages, where nothing may be cleaned up.

    .venv/bin/python -m benchmarks.bloat [SECONDS]

publishes, claims and acknowledges messages before, during (REPEATABLE READ, two minutes unless told
otherwise) and after such a transaction, in bursts of a second with a pause of as long, and prints a Markdown
table. The database is made for it and dropped; the server must have autovacuum on. Quote it with the
machine, the date and the load of that moment.
"""

import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field

os.environ.setdefault("CELERIAC_TEST_SESSION", f"celeriac_bench_{os.getpid()}")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.db import connections, transaction  # noqa: E402 - Django must be set up first

from celeriac.broker.deliveries import Deliveries, Held  # noqa: E402 - see above
from celeriac.broker.session import BrokerSession  # noqa: E402 - see above
from celeriac.broker.store import Store  # noqa: E402 - see above
from tests.broker import message, process_of_its_own  # noqa: E402 - see above
from tests.databases import TestDatabases  # noqa: E402 - see above

AROUND_SECONDS = 20.0
DURING_SECONDS = 120.0
BURST_SECONDS = 1.0
ROW_SECONDS = 20.0
BATCH = 50
BODY = "x" * 500

SIZES = (
    "SELECT n_dead_tup, pg_table_size(relid), pg_indexes_size(relid), autovacuum_count"
    " FROM pg_stat_user_tables WHERE relname = 'celeriac_message'"
)


@dataclass
class Load:
    """Publishes and consumes; what it took since the last row."""

    alias: str
    deliveries: Deliveries
    messages: int = 0
    seconds: float = 0.0
    claims: list[float] = field(default_factory=list)

    def burst(self) -> None:
        started = time.monotonic()
        while time.monotonic() - started < BURST_SECONDS:
            self._batch()
        self.seconds += time.monotonic() - started
        threading.Event().wait(BURST_SECONDS)

    def _batch(self) -> None:
        with transaction.atomic(using=self.alias):
            for _ in range(BATCH):
                Store(self.alias).publish("bloat", message(BODY))
        started = time.perf_counter()
        claimed = self.deliveries.claim(["bloat"], BATCH)
        self.claims.append(time.perf_counter() - started)
        for each in claimed:
            tag = f"{each.id}-{each.token}"
            self.deliveries.hold(tag, Held((each.id, each.token), None, lambda: None))
            self.deliveries.ack(tag)
        self.deliveries.flush()
        self.messages += len(claimed)

    def row(self) -> str:
        """Of the table; the next one begins anew."""
        times = sorted(1000 * seconds for seconds in self.claims)
        figures = (
            f"{self.messages / self.seconds:,.0f} | {statistics.median(times):.1f} ms"
            f" | {times[int(len(times) * 0.95)]:.1f} ms"
        )
        self.messages, self.seconds, self.claims = 0, 0.0, []
        return figures


def main(during_seconds: float) -> None:
    """Measure and print the table."""
    databases = TestDatabases()
    try:
        alias = databases.get("postgresql")
        print("| | messages/s | claim p50 | p95 | dead rows | table | indexes | autovacuums |")
        print("|---|---|---|---|---|---|---|---|")
        with process_of_its_own():
            load = Load(alias, Deliveries(alias))
            load.deliveries.nudge = lambda: None
            _phase(load, "before", AROUND_SECONDS)
            other = BrokerSession(alias)
            other.run(lambda connection, _: _hold(connection), atomic=False)
            _phase(load, "during", during_seconds)
            other.close()
            _phase(load, "after", 2 * AROUND_SECONDS)
            load.deliveries.close()
    finally:
        connections.close_all()
        databases.drop_all()


def _hold(connection: object) -> None:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM celeriac_worker")


def _phase(load: Load, name: str, seconds: float) -> None:
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        row_ends = time.monotonic() + ROW_SECONDS
        while time.monotonic() < row_ends:
            load.burst()
        print(f"| {name}, {passed:.0f} s | {load.row()} | {_sizes(load.alias)} |", flush=True)


def _sizes(alias: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute(SIZES)
        dead, table, indexes, vacuums = cursor.fetchone()
    return f"{dead:,} | {table / 1e6:.1f} MB | {indexes / 1e6:.1f} MB | {vacuums}"


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else DURING_SECONDS)
