"""Which database errors are tried again, as of a full disk (fault F15), and which are not."""

import sqlite3
from types import SimpleNamespace

import pytest
from celery._state import _task_stack
from celery.signals import worker_shutting_down
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)

from celeriac.results import retry, storing


class Driver(Exception):
    """An error as psycopg raises it: with SQLSTATE, None where the server said nothing."""

    def __init__(self, sqlstate, severity="ERROR"):
        super().__init__("driver")
        self.sqlstate = sqlstate
        self.diag = SimpleNamespace(severity_nonlocalized=severity)


class PsycopgOperationalError(Driver):
    pass


PsycopgOperationalError.__name__ = "OperationalError"


def sqlite_error(code):
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    return error


def error(cause, kind=OperationalError):
    raised = kind("django")
    raised.__cause__ = cause
    return raised


BUSY = {
    "SQLite busy": sqlite_error(5),
    "SQLite locked": sqlite_error(6),
    "SQLite busy snapshot": sqlite_error(517),
    "PostgreSQL deadlock": Driver("40P01"),
    "PostgreSQL serialization": Driver("40001"),
    "PostgreSQL lock timeout": Driver("55P03"),
    "PostgreSQL statement timeout": Driver("57014"),
    "MariaDB deadlock": Exception(1213, "Deadlock found"),
    "MariaDB lock wait timeout": Exception(1205, "Lock wait timeout exceeded"),
    "MariaDB statement timeout": Exception(1969, "Query execution was interrupted"),
}
HINDERED = {
    "SQLite full": sqlite_error(13),
    "PostgreSQL disk full": Driver("53100"),
    "PostgreSQL out of memory": Driver("53200"),
    "MariaDB table full": Exception(1114, "The table is full"),
    "MariaDB disk full": Exception(1021, "Disk full"),
}
LOST = {
    "SQLite cannot be opened": sqlite_error(14),
    "SQLite disk error": sqlite_error(10 | 3 << 8),
    "SQLite file moved": sqlite_error(8 | 4 << 8),
    "PostgreSQL is a standby": Driver("25006"),
    "MariaDB is read-only": Exception(1290, "The server is running with --read-only"),
    "PostgreSQL shut down": Driver("57P01"),
    "PostgreSQL connection exception": Driver("08006"),
    "PostgreSQL gone": PsycopgOperationalError(None),
    "PostgreSQL idle session": Driver("57P05"),
    "PostgreSQL idle transaction": Driver("25P03"),
    "PostgreSQL long transaction": Driver("25P04"),
    "PostgreSQL said farewell": Driver("XX000", "FATAL"),
    "MariaDB gone": Exception(2006, "Server has gone away"),
    "MariaDB lost": Exception(2013, "Lost connection"),
    "MariaDB shuts everybody out": Exception(4151, "Access denied, this account is locked"),
    "MariaDB has another password": Exception(1045, "Access denied for user"),
}
OTHER = {
    "PostgreSQL unique": Driver("23505"),
    "MariaDB duplicate": Exception(1062, "Duplicate entry"),
    "MariaDB too long": Exception(1406, "Data too long"),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_database_passes_and_the_connection_stays(name):
    assert (retry.is_passing(error(BUSY[name])), retry.is_lost(error(BUSY[name]))) == (True, False)


@pytest.mark.parametrize("name", LOST)
def test_a_lost_connection_passes_with_a_new_one(name):
    assert (retry.is_passing(error(LOST[name])), retry.is_lost(error(LOST[name]))) == (True, True)


@pytest.mark.parametrize("name", HINDERED)
def test_a_full_disk_passes_and_the_connection_stays(name):
    """Fault F15: what a task came to waits until there is room."""
    assert (retry.is_passing(error(HINDERED[name])), retry.is_lost(error(HINDERED[name]))) == (True, False)


@pytest.mark.parametrize("name", OTHER)
def test_any_other_error_does_not_pass(name):
    assert not retry.is_passing(error(OTHER[name], DatabaseError))


def test_an_error_inside_another_librarys_is_found():
    outer = RuntimeError("could not publish")
    outer.__cause__ = error(BUSY["SQLite busy"])

    assert retry.is_passing(outer)


def test_an_error_that_is_no_databases_does_not_pass():
    assert not retry.is_passing(ConnectionError(2006, "of something else"))


class Failing:
    """An operation that fails a number of times."""

    def __init__(self, times, cause, kind=OperationalError):
        self.left, self.error, self.calls = times, error(cause, kind), 0

    def __call__(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "stored"


@pytest.fixture
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(retry.time, "sleep", slept.append)
    return slept


def test_an_operation_is_tried_until_the_database_is_free(default_alias, pauses):
    operation = Failing(3, BUSY["SQLite busy"])

    assert retry.until_stored(default_alias, operation) == "stored"

    assert (operation.calls, len(pauses)) == (4, 3)


def test_the_last_error_is_raised_after_about_ten_seconds(default_alias, pauses):
    operation = Failing(99, BUSY["SQLite busy"])

    with pytest.raises(OperationalError):
        retry.until_stored(default_alias, operation)

    assert operation.calls == retry.TRIES
    assert 4 < sum(pauses) < 15


@pytest.fixture
def in_a_task(pauses):
    """This process is a worker, and this thread runs a task."""
    storing.this_is_a_worker()
    _task_stack.push(SimpleNamespace(request=SimpleNamespace(called_directly=False)))
    yield
    _task_stack.pop()
    storing.end()


def test_a_worker_tries_the_result_of_a_task_until_it_is_stored(default_alias, in_a_task, caplog):
    operation = Failing(50 * retry.TRIES, LOST["PostgreSQL gone"])

    assert retry.until_stored(default_alias, operation) == "stored"

    assert caplog.text.count("A task's result waits for the database") == 1


def test_a_worker_that_stops_lets_the_task_come_again_and_does_not_fail_it(
    default_alias, in_a_task, monkeypatch
):
    worker_shutting_down.send(sender="worker@here", sig="SIGTERM", how="Warm", exitcode=0)
    monkeypatch.setattr(retry, "STOPPING_SECONDS", 0)

    with pytest.raises(SystemExit, match="could not be stored"):
        retry.until_stored(default_alias, Failing(99, LOST["PostgreSQL gone"]))


def test_an_error_that_does_not_pass_fails_the_task_of_a_worker(default_alias, in_a_task):
    with pytest.raises(IntegrityError):
        retry.until_stored(default_alias, Failing(1, OTHER["MariaDB duplicate"], IntegrityError))


def test_what_a_worker_does_beside_its_tasks_is_not_tried_for_ever(default_alias, pauses):
    storing.this_is_a_worker()

    with pytest.raises(OperationalError):
        retry.until_stored(default_alias, Failing(99, LOST["PostgreSQL gone"]))

    storing.end()


def test_an_error_that_does_not_pass_is_raised_at_once(default_alias, pauses):
    operation = Failing(1, OTHER["MariaDB duplicate"], IntegrityError)

    with pytest.raises(IntegrityError):
        retry.until_stored(default_alias, operation)

    assert operation.calls == 1


def test_nothing_is_tried_again_in_the_callers_transaction(default_alias, pauses):
    operation = Failing(1, BUSY["SQLite busy"])

    with transaction.atomic(using=default_alias), pytest.raises(OperationalError):
        retry.until_stored(default_alias, operation)

    assert operation.calls == 1


def test_a_connection_that_is_lost_is_replaced(default_alias, pauses):
    connection = connections[default_alias]
    connection.ensure_connection()
    before = connection.connection

    retry.until_stored(default_alias, Failing(1, LOST["MariaDB gone"], InterfaceError))

    assert connection.connection is not before


def test_a_busy_connection_is_kept(default_alias, pauses):
    connection = connections[default_alias]
    connection.ensure_connection()
    before = connection.connection

    retry.until_stored(default_alias, Failing(1, BUSY["SQLite busy"]))

    assert connection.connection is before
