"""The test databases: one of each vendor, made when a test first asks for it, dropped at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from tests import servers

ALIASES = {"sqlite": DEFAULT_DB_ALIAS, "postgresql": "postgresql", "mariadb": "mariadb"}
EMPTIED_APPS = ("celeriac", "django_celery_results")
#: Django's own, which tests write to beside a publish.
EMPTIED_TABLES = ("auth_group",)
#: How the end of the database is said where connections that a test left open would refuse it.
DROP_SUFFIX = {"postgresql": " WITH (FORCE)"}


class TestDatabases:
    """The databases of this session; owned by the session's fixture, which calls `drop_all`."""

    __test__ = False

    def __init__(self) -> None:
        self._ready: set[str] = set()

    def get(self, vendor: str) -> str:
        """The alias of the vendor's database, migrated; the test is skipped without its server."""
        alias = ALIASES[vendor]
        if vendor != "sqlite":
            servers.require(vendor)
        if alias not in self._ready:
            self._create(alias)
        return alias

    def _create(self, alias: str) -> None:
        connection = connections[alias]
        if connection.vendor != "sqlite":
            _run_without_database(connection, f"CREATE DATABASE {_name(connection)}")
        self._ready.add(alias)
        call_command("migrate", database=alias, verbosity=0, interactive=False)
        connection.close()

    def drop_all(self) -> None:
        """Drop every database that was made; called once, when no test runs any more."""
        for alias in self._ready:
            connection = connections[alias]
            connection.close()
            if connection.vendor != "sqlite":
                suffix = DROP_SUFFIX.get(connection.vendor, "")
                _run_without_database(connection, f"DROP DATABASE {_name(connection)}{suffix}")
        self._ready.clear()


def empty(alias: str) -> None:
    """Delete every row that tests write."""
    connection = connections[alias]
    tables = [model._meta.db_table for app in EMPTIED_APPS for model in apps.get_app_config(app).get_models()]
    tables += EMPTIED_TABLES
    existing = set(connection.introspection.table_names())
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A test that left a transaction open fails here, and does not hang.
            cursor.execute("SET LOCAL lock_timeout = '10s'")
        for table in tables:
            if table in existing:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@contextmanager
def emptied_afterwards(alias: str) -> Iterator[str]:
    """The alias for one test: its rows go and its connection closes when the test ends."""
    connection = connections[alias]
    try:
        yield alias
    finally:
        # Also out of a transaction that the test left open: `connect` forgets it.
        connection.close()
        connection.connect()
        empty(alias)
        connection.close()


def _name(connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(str(connection.settings_dict["NAME"]))


def _run_without_database(connection: BaseDatabaseWrapper, statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def told_of_statements(connection: Any, note: Callable[[str, Any], object]) -> Iterator[None]:
    """Each statement that runs on this connection, with its parameters."""

    def execute_and_note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        note(sql, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(execute_and_note):
        yield


@contextmanager
def without_table(alias: str, name: str) -> Iterator[None]:
    """A table has another name within."""
    _rename(alias, name, f"hidden_{name}")
    try:
        yield
    finally:
        _rename(alias, f"hidden_{name}", name)


def _rename(alias: str, old: str, new: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
