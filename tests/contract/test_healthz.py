"""`healthz/` over HTTP: 200 while tasks are taken, 503 and no secrets otherwise."""

import json
import threading

import pytest
from django.db import connections
from django.test import Client, RequestFactory, override_settings
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


def test_an_answer_that_takes_long_is_fresh_when_it_is_there_and_asked_for_once(ask, monkeypatch):
    asked = []

    def slowly(_):
        asked.append(threading.get_ident())
        clock_now[0] += 5.0
        return {"status": "ok"}

    clock_now = [100.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: clock_now[0])
    monkeypatch.setattr(view, "_last", None)
    monkeypatch.setattr(view, "_asked", slowly)

    assert view._recent() == view._recent() == {"status": "ok"}
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["healthz", "metrics"])
def test_a_page_that_only_looks_is_in_no_transaction_of_the_request(default_alias, monkeypatch, name):
    from celeriac.metrics import view as metrics_view

    monkeypatch.setitem(connections[default_alias].settings_dict, "ATOMIC_REQUESTS", True)
    seen = []

    def look(*_):
        seen.append(connections[default_alias].in_atomic_block)
        return {"status": "ok"}

    monkeypatch.setattr(view, "_recent", look)
    monkeypatch.setattr(metrics_view, "_has_token", look)
    monkeypatch.setattr(metrics_view, "families", lambda _: [])
    with override_settings(ROOT_URLCONF="celeriac.urls"):
        assert Client().get(f"/{name}/").status_code == 200

    assert seen == [False]


def test_it_is_mounted_by_one_line():
    with override_settings(ROOT_URLCONF="celeriac.urls"):
        assert reverse("healthz") == "/healthz/"
