"""What is looked at before a worker starts: each fault is one line that says what to do."""

from contextlib import closing
from types import SimpleNamespace

import pytest
from celery import Celery
from django.db import NotSupportedError, OperationalError, connections
from django.test import override_settings

from celeriac.app import adopt
from celeriac.broker.queries import mysql, postgresql, sqlite
from celeriac.broker.session import BrokerSession
from celeriac.errors import TablesMissing, UnknownDatabase, UnsupportedDatabase, WrongSetting
from celeriac.worker import preflight


def app(url, backend="cache+memory://"):
    made = Celery("preflight", broker=url, backend=backend, set_as_current=False)
    adopt(made)
    return made


def fault(error, url="django://", **more):
    with pytest.raises(error) as raised:
        preflight.inspect(app(url, **more))
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    return text


def test_a_database_that_is_ready_passes(default_alias):
    found = preflight.inspect(app("django://", backend="django-db"))

    assert (found.broker_alias, found.results_alias) == ("default", "default")


def test_another_broker_needs_no_database():
    found = preflight.inspect(app("memory://"))

    assert (found.broker_alias, found.results_alias) == (None, None)


@pytest.mark.parametrize("given", ["1 day", -5, True])
def test_a_time_for_results_that_is_none_is_named(default_alias, given):
    made = app("django://", backend="django-db")
    made.conf.result_expires = given

    with pytest.raises(WrongSetting) as raised:
        preflight.inspect(made)
    assert str(raised.value) == f"CELERY_RESULT_EXPIRES must be seconds or a timedelta, not {given!r}."


def test_an_unknown_scheme_is_named():
    assert "unknown scheme 'djngo'" in fault(WrongSetting, "djngo://")


def test_an_unknown_alias_is_answered_with_the_known_ones():
    assert fault(UnknownDatabase, "django://nowhere").endswith(
        "names the database 'nowhere', but DATABASES has only: default, mariadb, postgresql."
    )


@pytest.mark.parametrize(
    "url", ["django://me:secret@host/name", "django://me:secret@host", "django://host:1"]
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url):
    text = fault(WrongSetting, url)

    assert "DATABASES" in text
    assert "secret" not in text


@pytest.mark.parametrize("url", ["djngo://me:secret@host", "amqpx://me:secret@host//"])
def test_a_password_beside_an_unknown_scheme_is_not_repeated(url):
    assert "secret" not in fault(WrongSetting, url)


def test_missing_tables_are_answered_with_the_command(default_alias, monkeypatch):
    monkeypatch.setattr(connections["default"].introspection, "table_names", lambda *_: [])

    assert fault(TablesMissing).endswith("Run: python manage.py migrate")


def test_missing_tables_of_the_results_are_named(default_alias, monkeypatch):
    monkeypatch.setattr(connections["default"].introspection, "table_names", lambda *_: ["celeriac_message"])

    assert "django-celery-results' tables" in fault(TablesMissing, backend="django-db")


def test_a_database_that_is_away_is_told_with_the_drivers_first_line(monkeypatch):
    def refuse():
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(connections["default"], "ensure_connection", refuse)

    assert fault(Exception) == (
        "Database 'default' cannot be reached: connection refused. Start it, or correct DATABASES."
    )


def test_a_version_that_django_refuses_is_not_called_away(monkeypatch):
    def refuse():
        raise NotSupportedError("PostgreSQL 14 or later is required (found 13.2).")

    monkeypatch.setattr(connections["default"], "ensure_connection", refuse)

    assert fault(UnsupportedDatabase) == (
        "Database 'default' is too old for this Django: PostgreSQL 14 or later is required (found 13.2)."
    )


def test_an_old_sqlite_is_refused(default_alias, monkeypatch):
    monkeypatch.setattr(sqlite, "sqlite_version_info", (3, 34, 1))

    assert fault(UnsupportedDatabase) == "SQLite 3.34.1 is too old: Celeriac needs 3.35 or newer."


def test_an_old_postgresql_is_refused(monkeypatch):
    monkeypatch.setattr(postgresql.base, "fetch", lambda *_: [(120011,)])

    assert postgresql.PostgresqlQueries().check_version(SimpleNamespace()) == (
        "PostgreSQL 12 is too old: Celeriac needs 13 or newer."
    )


@pytest.mark.parametrize(
    ("is_mariadb", "version", "text"),
    [
        (True, (10, 5, 9), "MariaDB 10.5.9 is too old: Celeriac needs 10.6."),
        (False, (8, 0, 0), "MySQL 8.0.0 is too old: Celeriac needs 8.0.1."),
        (True, (10, 6, 0), None),
        (False, (8, 0, 11), None),
    ],
)
def test_an_old_mariadb_or_mysql_is_refused(is_mariadb, version, text):
    connection = SimpleNamespace(mysql_version=version, mysql_is_mariadb=is_mariadb)

    assert mysql.MysqlQueries().check_version(connection) == text


def test_a_database_of_another_kind_is_refused(default_alias, monkeypatch):
    monkeypatch.setattr(connections["default"], "vendor", "oracle")

    assert "not on oracle" in fault(UnsupportedDatabase)


@pytest.fixture
def switch(tmp_path, default_alias, monkeypatch):
    """Switches a new SQLite file to WAL over the given file system of SQLite's; what it says."""

    def switched(file_system):
        name = f"file:{tmp_path / 'new.sqlite3'}?vfs={file_system}"
        monkeypatch.setitem(connections.settings[default_alias], "NAME", name)
        with closing(BrokerSession(default_alias)) as session:
            return session.run(lambda made, queries: queries.use_wal(made), atomic=False)

    return switched


def test_a_file_that_was_switched_to_wal_is_called_so_once(switch):
    assert [switch("unix"), switch("unix")] == [True, False]


def test_a_file_whose_system_refuses_wal_is_not_called_switched(switch):
    # It has no shared memory, like those of networks.
    assert switch("unix-dotfile") is False


@pytest.mark.parametrize("several", [["memory://", "memory://b"], "memory://;memory://b", ("memory://",)])
def test_a_broker_with_others_to_fall_back_on_is_one(several):
    assert preflight.inspect(app(several)).broker_alias is None


@pytest.mark.parametrize("several", [["amqp://", "djngo://"], "amqp://;djngo://"])
def test_each_url_of_several_is_looked_at(several):
    assert "unknown scheme 'djngo'" in fault(WrongSetting, several)


def test_a_worker_is_where_it_reads(default_alias):
    reading = app("memory://")
    reading.conf.broker_read_url = "django://"
    writing = app("django://")
    writing.conf.broker_read_url = ["memory://"]

    assert (preflight.broker_alias(reading), preflight.broker_alias(writing)) == ("default", None)


def test_where_it_writes_is_looked_at_too():
    writing = app("memory://")
    writing.conf.broker_write_url = "django://nowhere"

    with pytest.raises(UnknownDatabase):
        preflight.broker_alias(writing)


def test_a_missing_outbox_is_answered_with_the_command(default_alias, monkeypatch):
    monkeypatch.setattr(connections["default"].introspection, "table_names", lambda *_: ["celeriac_message"])

    with override_settings(CELERIAC={"OUTBOX": True}):
        assert fault(TablesMissing, "memory://").endswith("Run: python manage.py migrate")
    assert preflight.inspect(app("memory://")).outbox_alias is None


def test_the_outbox_is_looked_at_where_it_is_on_or_was(default_alias):
    with override_settings(CELERIAC={"OUTBOX": True}):
        assert preflight.inspect(app("memory://")).outbox_alias == "default"
    assert preflight.inspect(app("memory://", backend="django-db")).outbox_alias == "default"


def test_a_migration_that_was_not_run_yet_is_answered_with_the_command(default_alias, monkeypatch):
    monkeypatch.setattr(preflight, "_NEWEST_TABLE", "celeriac_of_tomorrow")

    assert "Run: python manage.py migrate" in fault(TablesMissing, backend="django-db")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("djangodb", "Did you mean 'django-db'?"),
        ("redys://:secret@x", "Did you mean 'redis'?"),
        # Its package is not installed.
        ("couchbase://:secret@x/y", "Leave it out"),
        ("z.q:Z", "Leave it out"),
    ],
)
def test_a_backend_that_is_none_is_told_with_the_one_that_was_meant(given, hint):
    text = fault(WrongSetting, "memory://", backend=given)

    kind, _, rest = given.partition("://")
    assert text.startswith(f"CELERY_RESULT_BACKEND '{kind}{rest and '://…'}' cannot be used: ")
    assert hint in text
    assert "secret" not in text
