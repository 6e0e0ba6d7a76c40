"""Fault F23: how large what is stored may be, and what becomes of what is larger."""

import logging

import pytest
from celery import states
from django.test import override_settings

from celeriac.results import upsert
from celeriac.results.fitting import MOST_OF_ERROR, ResultTooLarge
from tests.databases import emptied_afterwards
from tests.results import context, make_app, results_in, row


@pytest.fixture
def app(alias):
    with results_in(alias):
        yield make_app()


@pytest.mark.parametrize("text", ["x" * 998, "\u00fc" * 166])
def test_a_result_may_have_as_many_bytes_as_the_setting_says(app, alias, text):
    with override_settings(CELERIAC={"MAX_RESULT_BYTES": 1000}):
        app.backend.store_result("a", text, states.SUCCESS)

    assert app.AsyncResult("a").get() == text


def test_a_small_limit_holds_too_and_lets_errors_be(app, alias):
    began = upsert.row_of(app.backend.write_of("a", {}, states.STARTED, None, context("a")))
    with override_settings(CELERIAC={"MAX_RESULT_BYTES": 1000}):
        with pytest.raises(ResultTooLarge):
            app.backend.store_result("a", "x" * 999, states.SUCCESS)
        with pytest.raises(ResultTooLarge):
            app.backend.end_of(began, "x" * 999, context("a"))
        app.backend.mark_as_failure("a", ValueError("x" * 2000), request=context("a"))

    assert len(app.AsyncResult("a").result.args[0]) == 2000


def test_a_larger_one_is_an_error_that_says_what_to_do(app, alias):
    large = "x" * (4 * 1024 * 1024)

    with pytest.raises(
        ResultTooLarge, match=r"shop.pay has 4,194,306 bytes, more than 4,194,304.*MAX_RESULT"
    ):
        app.backend.store_result("a", large, states.SUCCESS, request=context("a"))


@pytest.mark.parametrize("text", ["x" * 40_000_000, '"' * 5_000_000], ids=["long", "quotes"])
def test_what_mariadb_does_not_take_is_an_error_and_no_outage(databases, text):
    """It ends the connection of whoever sends much more than its max_allowed_packet."""
    with (
        emptied_afterwards(databases.get("mariadb")) as alias,
        results_in(alias),
        override_settings(CELERIAC={"MAX_RESULT_BYTES": 1_000_000_000}),
        pytest.raises(ResultTooLarge, match="max_allowed_packet"),
    ):
        make_app().backend.store_result("a", text, states.SUCCESS)


@pytest.mark.parametrize("arguments", [("x" * 10_000_000,), ("kept", "x" * 10_000_000), (["y"] * 1_000_000,)])
def test_an_exception_that_says_too_much_keeps_its_beginning_and_its_end(app, alias, arguments):
    error = ValueError(*arguments)

    app.backend.mark_as_failure("a", error, "first line\n" + "x" * 10_000_000 + "\nlast line")

    stored, found = app.AsyncResult("a").result, row(alias, "a")
    assert type(stored) is ValueError
    assert "characters are left out" in stored.args[-1]
    assert stored.args[:-1] == arguments[:-1]
    assert found.traceback.startswith("first line\n")
    assert found.traceback.endswith("\nlast line")
    assert len(found.traceback) < MOST_OF_ERROR + 100
    assert len(found.result) < 2 * MOST_OF_ERROR


def test_a_task_that_called_more_tasks_than_can_be_named_keeps_its_result(app, alias, caplog):
    request = context("a")
    request.children.extend(app.AsyncResult(str(number)) for number in range(100))

    with override_settings(CELERIAC={"MAX_RESULT_BYTES": 1000}), caplog.at_level(logging.WARNING):
        app.backend.store_result("a", 3, states.SUCCESS, request=request)

    result = app.AsyncResult("a")
    assert (result.get(), result.children) == (3, [])
    assert "called more tasks than its row can name" in caplog.text
