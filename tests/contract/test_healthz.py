"""`healthz/` over HTTP: 200 while tasks are taken, 503 and no secrets otherwise."""

import json

import pytest
from django.db import connections
from django.test import RequestFactory, override_settings
from django.urls import reverse

from celeriac.broker import presence
from celeriac.health import available, view
from celeriac.models import Message, PausedQueue
from tests.broker import publish, unreachable
from tests.databases import told_of_statements
from tests.results import make_app, results_in


@pytest.fixture
def ask(broker, monkeypatch):
    """The answer of the page, and its status."""

    def answer(*, alias=broker, is_new=True):
        app = make_app(broker_url=f"django://{alias}")
        for module in (view, available):
            monkeypatch.setattr(module, "get_app", lambda: app)
        if is_new:
            monkeypatch.setattr(view, "_last", None)
        response = view.healthz(RequestFactory().get("/"))
        return response.status_code, json.loads(response.content)

    with results_in(broker):
        yield answer


@pytest.fixture
def worker(broker):
    presence.presence_for(broker, "one@here").describe("prefork", 4, ["mails"])


def test_all_is_well_while_a_worker_is_there_and_nothing_waits_long(ask, worker, broker):
    publish(broker, "mails", "one")

    status, found = ask()

    assert status == 200
    assert found.pop("oldest_waiting_seconds") < 300
    assert found == {
        "status": "ok",
        "checks": {"broker": True, "workers": True, "waiting": True},
        "waiting_limit_seconds": 300.0,
    }


def test_no_worker_is_503(ask):
    status, found = ask()

    assert (status, found["checks"]["workers"]) == (503, False)


def test_a_message_that_waits_too_long_is_503_unless_its_queue_is_paused(ask, worker, broker):
    publish(broker, "mails", "one")
    message = Message.objects.using(broker).get()
    Message.objects.using(broker).update(available_at=message.available_at - 400_000_000)

    status, found = ask()
    PausedQueue.objects.using(broker).create(name="mails")
    paused, _ = ask()

    assert (status, found["checks"]["waiting"], paused) == (503, False, 200)
    assert 400 < found["oldest_waiting_seconds"] < 460
    with override_settings(CELERIAC={"WAITING_LIMIT_SECONDS": 1000}):
        assert ask()[0] == 200


def test_a_database_that_does_not_answer_is_503_and_says_nothing_of_it(ask, broker):
    with unreachable(broker) as there:
        status, found = ask(alias=there)

    assert status == 503
    assert found == {
        "status": "failing",
        "checks": {"broker": False, "workers": False, "waiting": False},
        "oldest_waiting_seconds": None,
        "waiting_limit_seconds": 300.0,
    }


def test_however_many_ask_the_database_is_asked_once_a_second(ask, worker, broker):
    ask()
    seen = []
    with told_of_statements(connections[broker], lambda sql, _: seen.append(sql)):
        for _ in range(50):
            ask(is_new=False)

    assert len(seen) < 20  # Not 50 times as many; a slow machine may see a second pass.


def test_it_is_mounted_by_one_line():
    with override_settings(ROOT_URLCONF="celeriac.urls"):
        assert reverse("healthz") == "/healthz/"
