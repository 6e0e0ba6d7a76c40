"""Fixtures of the contracts: the broker on each database, as a process finds it at its start.

`tests.broker` is imported late: pytest reads this file before Django is set up.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest


@pytest.fixture
def broker(alias: str) -> Iterator[str]:
    """The alias; what the broker keeps for the process begins and ends with the test."""
    from tests.broker import process_of_its_own

    with process_of_its_own():
        yield alias


@pytest.fixture
def connection(broker: str) -> Iterator[Any]:
    """A connection of kombu, closed at the end."""
    from tests.broker import connect

    with connect(broker) as made:
        yield made


@pytest.fixture
def unreachable_connection(broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection of kombu to a database that cannot be reached."""
    from tests.broker import connect, unreachable

    # kombu sleeps 2 s before its second try, and takes no other number here.
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    with unreachable(broker) as alias, connect(alias) as made:
        yield made


@pytest.fixture
def elsewhere(broker: str) -> Iterator[Any]:
    """A connection as another process has it, whose caches are not ours."""
    from celeriac.broker.store import Store
    from tests.broker import connect

    with connect(broker) as made:
        made.transport.store = Store(broker)
        yield made


@pytest.fixture
def reader(broker: str) -> Iterator[Any]:
    """Makes consumers with connections of their own; see tests.broker.Reader."""
    from tests.broker import Reader

    with ExitStack() as made:
        yield lambda: made.enter_context(closing(Reader(broker)))


@pytest.fixture
def stranger(broker: str) -> Iterator[Any]:
    """Makes consumers of other processes; see tests.broker.Stranger."""
    from tests.broker import Stranger

    with ExitStack() as made:
        yield lambda *known: made.enter_context(closing(Stranger(broker, *known)))


@pytest.fixture
def errbacks() -> list[tuple[str, str, str, str]]:
    """What the errback of `tasks` was told: id, node, class of the error, and its text."""
    return []


@pytest.fixture
def tasks(app: Any, errbacks: list[tuple[str, str, str, str]]) -> list[Any]:
    """Of the test's own app: one for a header, the body of a chord, and an errback that notes its calls."""

    def job() -> int:
        return 1

    def body(values: Any) -> Any:
        return values

    def on_error(request: Any, error: Exception, traceback: Any) -> None:
        errbacks.append((request.id, request.hostname, type(error).__name__, str(error)))

    made = [app.task(each, name=f"shop.{each.__name__}", shared=False) for each in (job, body, on_error)]
    app.finalize()
    return made
