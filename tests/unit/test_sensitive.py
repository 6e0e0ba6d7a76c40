"""What of a task's arguments is shown."""

import json
import logging

import pytest
from celery import Celery
from django.test import override_settings

from celeriac import sensitive
from celeriac.errors import WrongSetting


@pytest.fixture
def app():
    return Celery("shop", set_as_current=False, broker="memory://")


def reprs(app, task, *args, **kwargs):
    return sensitive.rules_of(app).reprs(task.name, args, kwargs)


def test_what_a_task_calls_sensitive_is_hidden_however_it_is_given(app):
    @app.task(sensitive=["pin"], shared=False)
    def pay(card, pin, note=""):
        """Nothing."""

    assert reprs(app, pay, 7, "1234") == ("(7, '***')", "{}")
    assert reprs(app, pay, 7, pin="1234", note="x") == ("(7,)", "{'pin': '***', 'note': 'x'}")
    assert reprs(app, pay) is None


def test_parameters_with_a_telling_name_are_hidden_without_a_word(app):
    @app.task(bind=True, shared=False)
    def log_in(self, user, password):
        """Nothing."""

    assert reprs(app, log_in, "bob", "hunter2") == ("('bob', '***')", "{}")


def test_keys_within_arguments_and_of_unknown_tasks_are_looked_at(app):
    @app.task(shared=False)
    def make(data):
        """Nothing."""

    data = {"name": "bob", "login": {"apiKey": "x" * 9}}

    assert reprs(app, make, data) == ("({'name': 'bob', 'login': {'apiKey': '***'}},)", "{}")
    assert data["login"]["apiKey"] == "x" * 9
    assert reprs(app, make, {"name": "bob"}) is None
    assert sensitive.rules_of(app).reprs("elsewhere.task", (), {"token": "x"}) == ("()", "{'token': '***'}")


def test_signatures_among_the_arguments_are_judged_by_their_own_tasks(app):
    @app.task(sensitive=["pin"], shared=False)
    def pay(card, pin):
        """Nothing."""

    @app.task(shared=False)
    def later(what):
        """Nothing."""

    args, _ = reprs(app, later, pay.s(7, "1234"))
    assert "1234" not in args
    assert "'***'" in args


def test_the_rest_of_the_arguments_can_be_hidden(app):
    @app.task(sensitive="values", shared=False)
    def note(name, *values, **others):
        """Nothing."""

    assert reprs(app, note, "a", 1, 2, other=3) == ("('a', '***', '***')", "{'other': 3}")


def test_plain_calls_of_a_task_without_such_parameters_are_none(app):
    @app.task(shared=False)
    def add(x, y, max_tokens=0):
        """Nothing."""

    assert reprs(app, add, 1, 2, max_tokens=3) is None
    assert reprs(app, add, [1, (2,)], {"a": {"b": 1}}) is None


@pytest.mark.parametrize(
    ("key", "is_hidden"),
    [
        ("password", True),
        ("old_password", True),
        ("Password2", True),
        ("API-KEY", True),
        ("accessToken", True),
        ("HTTP_AUTHORIZATION", True),
        ("sessionid", True),
        ("tokens", False),
        ("max_tokens", False),
        ("passenger", False),
        ("keyboard", False),
        (7, False),
    ],
)
def test_keys_are_judged_by_their_words(key, is_hidden):
    assert sensitive.is_sensitive(key) is is_hidden


def test_a_project_says_which_keys(app):
    @app.task(shared=False)
    def pay(iban, password):
        """Nothing."""

    assert reprs(app, pay, 1, 2) == ("(1, '***')", "{}")
    with override_settings(CELERIAC={"SENSITIVE_KEYS": ["iban"]}):
        assert reprs(app, pay, 1, 2) == ("('***', 2)", "{}")
    with override_settings(CELERIAC={"SENSITIVE_KEYS": []}):
        assert reprs(app, pay, 1, 2) is None
    with override_settings(CELERIAC={"SENSITIVE_KEYS": ["("]}), pytest.raises(WrongSetting, match=r"'\('"):
        sensitive.is_sensitive("x")


def test_a_name_that_no_parameter_has_is_told(app, caplog):
    @app.task(sensitive=["pasword"], shared=False)
    def log_in(password):
        """Nothing."""

    with caplog.at_level(logging.WARNING):
        assert reprs(app, log_in, "x") == ("('***',)", "{}")

    assert "no parameter pasword" in caplog.text


def test_texts_are_cleared_of_the_values(app):
    @app.task(sensitive=["pin"], shared=False)
    def pay(pin, data):
        """Nothing."""

    secrets = sensitive.rules_of(app).of(pay.name).secrets(("12345", {"token": ["abcdef"], "name": "x"}), {})

    assert secrets == ["abcdef", "12345"]
    told = sensitive.without(secrets, {"exc_message": ["no 12345", {"a": "abcdef!"}], "n": 1})
    assert told == {"exc_message": ["no ***", {"a": "***!"}], "n": 1}


@pytest.mark.parametrize(
    "quoted", [repr, json.dumps, lambda text: repr([text])], ids=["repr", "json", "in a list"]
)
@pytest.mark.parametrize("pin", ["it's", 'a"b\\c', "a'b\"c\n", "grün\\", "\u2028one"])
def test_a_value_that_is_quoted_is_found_too(app, quoted, pin):
    @app.task(sensitive=["pin"], shared=False)
    def pay(pin):
        """Nothing."""

    secrets = sensitive.rules_of(app).of(pay.name).secrets((pin,), {})

    assert sensitive.without(secrets, f"no {quoted(pin)}!").count("***") == 1
    assert len(sensitive.without(secrets, f"no {quoted(pin)}!")) <= len('no ["***"]!')
