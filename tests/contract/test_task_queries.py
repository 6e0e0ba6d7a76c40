"""A query finds the tasks that it says, on every database, and nothing of what is sensitive."""

from datetime import timedelta

import pytest
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from celeriac.errors import QueryError
from celeriac.models import Attempt, Outcome, TaskRecord
from celeriac.results import attempts, upsert
from celeriac.selectors import tasks
from celeriac.selectors.query import parse
from tests.results import (
    counted_queries,
    make_app,
    mark,
    minutes_ago,
    publish_record,
    publishing_app,
    results_in,
)


@pytest.fixture
def app(broker):
    with publishing_app(broker) as made:
        yield made


def put(alias, task_id, state=None, name="shop.pay", *, published=10, began=None, ended=None, **known):
    """A task with its rows; times are minutes ago."""
    of_record = {key: known.pop(key) for key in ("queue", "eta") if key in known}
    publish_record(alias, task_id, name, published_at=minutes_ago(published), message="{}", **of_record)
    TaskRecord.objects.using(alias).filter(task_id=task_id).update(
        started_at=None if began is None else minutes_ago(began),
        finished_at=None if ended is None else minutes_ago(ended),
    )
    if state:
        with connections[alias].cursor():
            upsert.write(connections[alias], [mark(task_id, state, task_name=name, **known)])


def fail(alias, task_id, exception, message, outcome=Outcome.FAILURE):
    ended = attempts.Ended(task_id, "shop.pay", outcome, exception=exception, message=message)
    with connections[alias].cursor():
        attempts.write(connections[alias], [ended])


@pytest.fixture
def shop(broker, app):
    put(broker, "a1-paid", "SUCCESS", began=9, ended=8, queue="money", worker="celery@web1")
    put(broker, "a2-failed", "FAILURE", "shop.refund", began=9, ended=8.9, queue="money", worker="w@web2")
    fail(broker, "a2-failed", "TimeoutError", "the bank said nothing")
    put(broker, "b1-runs", "STARTED", "mail.send", began=5, queue="mails", worker="celery@web1")
    put(broker, "b2-counts", "PROGRESS", "mail.count", published=60, began=0.1, queue="mails")
    put(broker, "c1-waits", "PENDING", "mail.send.later", published=3, queue="mails-2")
    put(broker, "c2-later", "PENDING", "report", eta=timezone.now() + timedelta(hours=1))
    put(broker, "c3-retries", "RETRY", "report", began=4)
    fail(broker, "c3-retries", "shop.errors.Busy", "full", Outcome.RETRY)
    put(broker, "d1-lost", "STARTED", "report", published=300, began=250, worker="gone@web3")
    fail(broker, "d1-lost", "WorkerLostError", "gone", Outcome.LOST)
    put(broker, "e1-silent", None, "quiet", began=2, ended=1)
    return broker


def found(app, text):
    return sorted(tasks.find(app, parse(text)).values_list("task_id", flat=True))


#: What each query finds in the shop.
FOUND = {
    "id:a": "a1-paid a2-failed",
    "id:a1-paid,c1": "a1-paid c1-waits",
    "state:failed": "a2-failed",
    "state:success,failure": "a1-paid a2-failed",
    "state:running": "b1-runs b2-counts d1-lost",
    "state:PROGRESS": "b2-counts",
    "state:waiting": "c1-waits",
    "state:scheduled": "c2-later",
    "state:retrying": "c3-retries",
    "state:lost": "d1-lost",
    "state:none": "e1-silent",
    "type:mail.send": "b1-runs",
    "type:mail.*": "b1-runs b2-counts c1-waits",
    "type:*.send*": "b1-runs c1-waits",
    'type:"mail.*"': "",
    "queue:mails": "b1-runs b2-counts",
    "queue:mails*": "b1-runs b2-counts c1-waits",
    "worker:web1": "a1-paid b1-runs",
    "worker:celery@web1": "a1-paid b1-runs",
    "worker:web*": "a1-paid a2-failed b1-runs d1-lost",
    "exc:timeout": "a2-failed",
    'exc:"said nothing"': "a2-failed",
    "exc:errors.*full,Busy": "c3-retries",
    "since:5m": "c1-waits",
    "since:2h until:30m": "b2-counts",
    "ran:>30s NOT state:running": "a1-paid c3-retries e1-silent",
    "ran:<10s": "a2-failed b2-counts",
    "ran:>100m": "d1-lost",
    "waited:>2m until:2h": "d1-lost",
    "waited:>2m waited:<4m": "c1-waits",
    "type:report NOT state:scheduled": "c3-retries d1-lost",
    "-state:none type:q*,r* -id:d1": "c2-later c3-retries",
}


def test_each_query_finds_what_it_says(shop, app):
    assert {text: " ".join(found(app, text)) for text in FOUND} == FOUND


#: In capitals or not is another name: nothing is found by the wrong ones.
NOT_FOUND = (
    *("id:A1", "type:MAIL.SEND", "type:MAIL.*", "type:*.SEND*", "queue:Mails", "queue:Mails*"),
    *("worker:WEB1", "worker:Celery@web1", "worker:CELERY@*", "worker:WEB*", 'worker:"W@web2"'),
)


def test_names_are_found_as_they_are_written_on_every_database(shop, app):
    assert {text: ids for text in NOT_FOUND if (ids := found(app, text))} == {}
    assert found(app, " ".join(f"NOT {text}" for text in NOT_FOUND)) == found(app, "")


@pytest.mark.parametrize("text", ["exc:ärger", "exc:ÄRGER", "exc:ÄR*LINES", "exc:r*in", 'exc:"ger\nin two"'])
def test_what_an_error_says_is_found_in_capitals_or_not_and_across_lines(broker, app, text):
    put(broker, "x", "FAILURE")
    fail(broker, "x", "ValueError", "Ärger\nin two lines")

    assert found(app, text) == ["x"]


def test_arguments_are_found_as_they_are_written(app, pay):
    pay.delay("Visa", city="Bonn")

    assert found(app, "args:Visa kwargs:city=Bonn") != []
    assert found(app, "args:visa") == found(app, "kwargs:city=bonn") == found(app, "kwargs:City") == []


@pytest.fixture
def pay(app):
    def pay(self, card, pin=None, **rest):
        pass

    return app.task(pay, name="shop.pay", bind=True, sensitive=["pin"], shared=False)


def test_arguments_are_found_by_their_reprs(app, pay):
    one = pay.delay(42, user_id=7, city='Köln, "am" Rhein').id
    two = pay.delay(1421, user_id=77, city="Bonn").id

    assert found(app, "args:42") == [one]
    assert found(app, "args:142*") == [two]
    assert found(app, "kwargs:user_id=7") == [one]
    assert found(app, "kwargs:user_id=7*") == sorted([one, two])
    assert found(app, "kwargs:user_id") == sorted([one, two])
    assert found(app, r'kwargs:"city=Köln, \"am\" Rhein"') == [one]
    assert found(app, "kwargs:city=B*,card=1") == [two]


def test_what_is_sensitive_is_neither_found_nor_shown(app, pay):
    pay.delay(1, pin="sesame", password="sesame")

    assert found(app, "args:sesame") == found(app, "kwargs:pin=sesame") == []
    (shown,) = tasks.listed(tasks.find(app, parse("")), 10)
    assert "sesame" not in str(shown)
    assert shown.kwargs == "{'pin': '***', 'password': '***'}"
    with pytest.raises(QueryError, match="the values of password are not shown"):
        found(app, "kwargs:password=sesame")


def test_the_list_is_the_latest_first_and_says_how_long_each_took(shop, app):
    with counted_queries(shop) as statements:
        listed = tasks.listed(tasks.find(app, parse("id:a,b1")), 2)

    assert len(statements) == 3
    assert not [sql for sql in statements if '"message"' in sql and "taskrecord" in sql]
    assert {each.task_id for each in listed} <= {"a1-paid", "a2-failed", "b1-runs"}
    shown = {each.task_id: each for each in tasks.listed(tasks.find(app, parse("")), 20)}
    assert next(iter(shown)) == "c1-waits"
    assert shown["a2-failed"].error == "TimeoutError: the bank said nothing"
    assert (round(shown["a1-paid"].waited_seconds), round(shown["a1-paid"].ran_seconds)) == (60, 60)
    assert shown["c2-later"].waited_seconds == 0
    assert shown["e1-silent"].state is None


def test_an_id_may_be_its_beginning(shop, app):
    assert tasks.resolved(["a1", "a1-paid", "zz", "x\x00"]) == {
        "a1": "a1-paid",
        "a1-paid": "a1-paid",
        "zz": None,
        "x\x00": None,
    }
    with pytest.raises(
        QueryError, match=r"Several tasks begin with 'c': c1-waits, c2-later, c3-retries\. Write more"
    ):
        tasks.resolved(["c"])


def test_types_are_counted(shop, app):
    counted = {each.task_name: (each.tasks, each.failed) for each in tasks.types(app, parse("id:a,c"))}

    assert counted == {"shop.pay": (1, 0), "shop.refund": (1, 1), "mail.send.later": (1, 0), "report": (2, 0)}


def test_states_are_not_asked_for_where_another_backend_has_them(default_alias):
    with results_in(default_alias):
        app = make_app(result_backend="cache+memory://")
        app.backend_cls = None
        with pytest.raises(QueryError, match="another backend than django-db"):
            found(app, "state:failed")
        assert found(app, "since:1h") == []


@pytest.mark.parametrize("has_zones", [True, False])
def test_moments_are_of_the_projects_zone(default_alias, has_zones):
    with override_settings(USE_TZ=has_zones, TIME_ZONE="Europe/Berlin"), publishing_app(default_alias) as app:
        publish_record(default_alias, "x", published_at=timezone.now(), message="{}")
        now = timezone.localtime() if has_zones else timezone.now()

        assert found(app, f"since:{(now - timedelta(minutes=1)):%Y-%m-%dT%H:%M:%S}") == ["x"]
        assert found(app, f"until:{(now - timedelta(minutes=1)):%Y-%m-%dT%H:%M:%S}") == []
        assert found(app, "waited:<1h") == ["x"]
    assert not Attempt.objects.using(default_alias).exists()
