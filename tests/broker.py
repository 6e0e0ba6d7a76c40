"""What tests of the broker share: the process as it is at its start, messages, consumers, and deadlines."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections, transaction
from kombu import Connection

from celeriac.broker import clock, deliveries, presence, store
from celeriac.broker.deliveries import Deliveries, Held
from celeriac.broker.queries import workers
from celeriac.broker.queries.base import Claimed
from celeriac.broker.session import BrokerSession
from celeriac.broker.store import Store
from celeriac.models import Message
from tests.databases import told_of_statements

#: No event of a test takes longer on a busy machine.
DEADLINE_SECONDS = 30.0


@contextmanager
def process_of_its_own() -> Iterator[None]:
    """Let the broker begin and end within the test, as in a process of its own."""
    try:
        yield
    finally:
        deliveries.close_all()
        deliveries._opened.clear()
        deliveries.deliveries_for.cache_clear()
        store.store_for.cache_clear()
        presence.end_all()


def connect(alias: str) -> Connection:
    """A connection of kombu to the broker on this database."""
    at_once = {"interval_start": 0, "interval_step": 0, "interval_max": 0}
    return Connection(f"django://{alias}", transport_options=at_once)


@contextmanager
def unreachable(alias: str) -> Iterator[str]:
    """The alias of a database like this one where no server answers, or no file can be."""
    name = "unreachable"
    here = connections.settings[alias]
    is_file = connections[alias].vendor == "sqlite"
    there = {"NAME": "/dev/null/nowhere.sqlite3"} if is_file else {"HOST": "127.0.0.1", "PORT": "1"}
    connections.settings[name] = {**here, **there}
    try:
        yield name
    finally:
        connections[name].close()
        del connections[name]
        del connections.settings[name]


def message(body: str = "body", *, headers: Any = None, **properties: Any) -> dict[str, Any]:
    """A message as kombu hands it to a transport."""
    return {
        "body": body,
        "content-type": "text/plain",
        "content-encoding": "utf-8",
        "headers": headers or {},
        "properties": {"body_encoding": "utf-8", "delivery_info": {"exchange": ""}, **properties},
    }


def publish(alias: str, queue: str, *bodies: str, **properties: Any) -> None:
    """Publish a message for each body, committed together."""
    with transaction.atomic(using=alias):
        for body in bodies:
            Store(alias).publish(queue, message(body, **properties))


def bodies(claimed: list[Claimed]) -> list[str]:
    from celeriac.broker import payload

    return [payload.decode(each.payload)["body"] for each in claimed]


def rows(alias: str, **conditions: Any) -> int:
    """How many messages are in the table, whatever their state."""
    return Message.objects.using(alias).filter(**conditions).count()


class Reader:
    """A consumer with a connection of its own, under this process's presence; the owner calls close()."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.deliveries = Deliveries(alias)

    def claim(self, *queues: str, limit: int = 100, is_of_loop: bool = False) -> list[Claimed]:
        """Claim, and hold as a channel does."""
        claimed = self.deliveries.claim(queues, limit, is_of_loop=is_of_loop)
        for each in claimed:
            self.deliveries.hold(_tag(each), Held((each.id, each.token), each.task_id, lambda: None))
        return claimed

    def ack(self, claimed: Claimed) -> None:
        self.deliveries.ack(_tag(claimed))

    def requeue(self, claimed: Claimed) -> None:
        self.deliveries.requeue(_tag(claimed))

    def bury(self, claimed: Claimed, reason: str) -> None:
        self.deliveries.bury(_tag(claimed), reason)

    def release(self, *claimed: Claimed) -> None:
        self.deliveries.release([_tag(each) for each in claimed])

    def close(self) -> None:
        self.deliveries.close()


def _tag(claimed: Claimed) -> str:
    return f"{claimed.id}-{claimed.token}"


class Stranger:
    """A consumer of another process, without lock or thread: its row, its claims, and its death."""

    def __init__(self, alias: str, node: str = "stranger@elsewhere", host: str = "elsewhere") -> None:
        self.session = BrokerSession(alias)
        self.worker = self.session.run(
            lambda connection, _: workers.register(connection, node, host, os.getpid(), clock.now())
        )

    def claim(self, *queues: str, limit: int = 100) -> list[Claimed]:
        # As a process's own: new at every claim, and greater than the one before.
        token = time.time_ns() // 1000 << 10 | secrets.randbits(10)
        return self.session.run(
            lambda connection, queries: queries.claim(connection, queues, limit, self.worker, token)
        )

    def beat(self) -> bool:
        return self.session.run(
            lambda connection, queries: workers.beat(connection, queries, self.worker, has_lock=False)
        )

    def is_held_for_lost(self) -> bool:
        """Whether the others have given it up."""
        from celeriac.models import Worker

        return Worker.objects.using(self.session.alias).get(pk=self.worker).is_lost

    def close(self) -> None:
        self.session.close()


def in_thread(work: Callable[[], Any]) -> Any:
    """Do `work` in another thread, whose Django connections are closed afterwards; its result."""
    return in_threads([work])[0]


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    """Do each of `works` in a thread of its own, all at once; their results, or the first error."""
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(position: int) -> None:
        try:
            start.wait(DEADLINE_SECONDS)
            results[position] = works[position]()
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive(), f"not within {DEADLINE_SECONDS:.0f} s"
    if errors:
        raise errors[0]
    return results


@contextmanager
def noted(connection: Any) -> Iterator[list[tuple[str, Any]]]:
    """The statements that run on this connection, with their parameters."""
    statements: list[tuple[str, Any]] = []
    with told_of_statements(connection, lambda sql, params: statements.append((sql, params))):
        yield statements


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Ask until the condition holds, where nothing tells of the event; its value."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    tick = threading.Event()
    while time.monotonic() < deadline:
        if value := condition():
            return value
        tick.wait(0.01)
    raise AssertionError(f"not within {DEADLINE_SECONDS:.0f} s: {what}")


def wait_past(moment: int) -> None:
    """Wait until the clock of the broker is past this moment."""
    wait_until(lambda: clock.now() > moment, "the clock goes on")


class Process:
    """Python code in a process of its own on the same databases; it says a line when it is ready."""

    def __init__(self, code: str, *arguments: str) -> None:
        whole = f"import sys, django\ndjango.setup()\nalias, *arguments = sys.argv[1:]\n{code}\n"
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", whole, *arguments],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it says; empty once it has ended, which a deadline brings about."""
        assert self.process.stdout is not None
        overdue = threading.Timer(DEADLINE_SECONDS, self.process.kill)
        overdue.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            overdue.cancel()

    def kill(self) -> None:
        """End it as `kill -9` does; may be called twice."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def process(code: str, *arguments: str) -> Iterator[Process]:
    """A process that is killed at the end, whatever its state."""
    started = Process(code, *arguments)
    try:
        yield started
    finally:
        started.close()
