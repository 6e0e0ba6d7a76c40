"""Fixtures that every test may use: real databases and real brokers, empty when the test begins.

Nothing is wrapped in a transaction that is rolled back: what Celeriac promises begins with a commit.
A process that a test starts finds the same databases through `tests.settings`.
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.databases import TestDatabases

SESSION = f"celeriac_test_{os.getpid()}_{uuid.uuid4().hex[:6]}"
DIRECTORY = Path(tempfile.mkdtemp(prefix="celeriac-test-"))

os.environ["CELERIAC_TEST_SESSION"] = SESSION
os.environ["CELERIAC_TEST_DIRECTORY"] = str(DIRECTORY)
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"


def pytest_configure() -> None:
    import django

    django.setup()


def pytest_unconfigure() -> None:
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def pytest_report_header() -> list[str]:
    """Which versions this run is about, and which servers it has to do without."""
    from importlib.metadata import version

    from tests.servers import SERVERS, reason_unreachable

    python = ".".join(map(str, sys.version_info[:3]))
    names = ("Django", "celery", "kombu", "django-celery-results")
    versions = [f"Python {python}", *(f"{name} {version(name)}" for name in names)]
    reasons = [reason for name in SERVERS if (reason := reason_unreachable(name))]
    return [f"versions: {', '.join(versions)}", *(f"skipped: {reason}" for reason in reasons)]


@pytest.fixture(scope="session")
def databases() -> Iterator["TestDatabases"]:
    """The session's databases: `databases.get("mariadb")` is an alias, with its tables."""
    from tests.databases import TestDatabases

    made = TestDatabases()
    yield made
    made.drop_all()


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def alias(request, databases) -> Iterator[str]:
    """The alias of each vendor's database in turn; its tables are emptied after the test."""
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get(request.param)) as name:
        yield name


@pytest.fixture
def default_alias(databases) -> Iterator[str]:
    """The alias of the SQLite database alone, for what does not depend on the vendor."""
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get("sqlite")) as name:
        yield name


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A database of Redis for this test alone."""
    from tests.brokers import redis_database

    with redis_database(os.getpid()) as url:
        yield url


@pytest.fixture
def rabbitmq_url() -> Iterator[str]:
    """A virtual host of RabbitMQ for this test alone."""
    from tests.brokers import rabbitmq_vhost

    with rabbitmq_vhost(f"{SESSION}_{uuid.uuid4().hex[:6]}") as url:
        yield url


@pytest.fixture(autouse=True)
def open_pools() -> Iterator[None]:
    """A test that ends kombu's pools, which are the process's, leaves none of them to the project's app."""
    yield
    from celeriac.app import get_app

    app = get_app()
    if app.amqp._producer_pool is not None and app.amqp._producer_pool._closed:
        app.amqp._producer_pool = None
