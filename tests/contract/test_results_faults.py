"""Results on a database that locks, kills connections or is the caller's own broken transaction."""

import threading

import pytest
from celery import states
from django.db import connections, transaction

from celeriac.results import retry
from tests.results import context, make_app, record, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


def kill_connection(alias):
    """End the thread's session from another one, as a restart of the server does."""
    connection = connections[alias]
    connection.ensure_connection()
    own = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}[connection.vendor]
    kill = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(own)
        number = cursor.fetchone()

    def from_elsewhere():
        with connections[alias].cursor() as cursor:
            cursor.execute(kill, number)
        connections.close_all()

    thread = threading.Thread(target=from_elsewhere)
    thread.start()
    thread.join()


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request, databases):
    from tests.databases import emptied_afterwards

    with emptied_afterwards(databases.get(request.param)) as name, results_in(name):
        yield name


def test_a_result_is_stored_by_a_new_connection_when_the_old_one_was_killed(server):
    app = make_app()
    kill_connection(server)

    app.backend.store_result("a", 1, states.SUCCESS)

    assert row(server, "a").status == states.SUCCESS


def test_celerys_own_retry_gets_a_new_connection_too(server):
    app = make_app(result_backend_always_retry=True)
    app.backend.store_result("a", 1, states.SUCCESS)
    kill_connection(server)

    assert app.AsyncResult("a").get(timeout=10) == 1


def test_a_killed_connection_inside_the_callers_transaction_is_raised(server):
    app = make_app()

    def inside():
        with transaction.atomic(using=server):
            app.backend.store_result("a", 1, states.SUCCESS)
            kill_connection(server)
            app.backend.store_result("b", 1, states.SUCCESS)

    with pytest.raises(Exception, match=r"(?i)connection|gone|lost|terminat|closed|killed"):
        inside()

    connections[server].close()
    assert app.AsyncResult("a").state == states.PENDING


def test_a_result_waits_for_a_lock_and_is_stored_once(app, alias, monkeypatch):
    """Another session holds the row; it lets go at the first pause between two tries."""
    app.backend.store_result("a", None, states.STARTED, request=context("a"))
    held, release, released = threading.Event(), threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(using=alias):
            app.backend.store_result("a", None, "PROGRESS", request=context("a"))
            held.set()
            release.wait(30)
        released.set()
        connections.close_all()

    def pause(number):
        release.set()
        released.wait(30)

    monkeypatch.setattr(retry, "pause", pause)
    _give_up_waiting_soon(alias)
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)

    app.backend.store_result("a", 1, states.SUCCESS, request=context("a"))
    holder.join()

    assert released.is_set()
    assert row(alias, "a").status == states.SUCCESS
    assert record(alias, "a").attempts == 1


def _give_up_waiting_soon(alias):
    """Let the thread's session wait a short time for locks."""
    limit = {
        "sqlite": "PRAGMA busy_timeout = 50",
        "postgresql": "SET lock_timeout = '50ms'",
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    }
    with connections[alias].cursor() as cursor:
        cursor.execute(limit[connections[alias].vendor])
