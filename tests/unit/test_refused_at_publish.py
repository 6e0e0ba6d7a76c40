"""What no worker would run is refused where it is published, in one line, on every kind of broker."""

import json
import random
import secrets
import zlib

import pytest
from django.test import override_settings
from django_celery_results.models import TaskResult
from kombu import compression
from kombu.exceptions import EncodeError

import celeriac.control
import celeriac.publisher
from celeriac.app import get_app
from celeriac.broker import nesting
from celeriac.broker.refusal import MessageRefused, MessageTooDeep, MessageTooLarge
from celeriac.errors import NameRefused
from celeriac.models import Message, TaskRecord
from tests.results import current, make_app


@pytest.fixture(autouse=True)
def database(default_alias):
    return default_alias


@pytest.fixture(params=["django://", "redis"])
def task(request):
    """A task of an app on a database, and on a broker that is none."""
    if request.param == "django://":
        app = get_app()
    else:
        # kombu keeps pools for the process, by their URL.
        app = make_app(broker_url=request.getfixturevalue("redis_url"), broker_pool_limit=0)
        celeriac.publisher.install(app)

    @app.task(name="tests.refused.job", shared=False)
    def job(*args, **kwargs):
        pass

    with current(app):
        yield job
    app.tasks.unregister("tests.refused.job")


def nested(levels):
    value = "[{"  # No bracket of the text counts.
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def nothing_is_there():
    return [each.objects.count() for each in (Message, TaskResult, TaskRecord)] == [0, 0, 0]


@pytest.mark.parametrize("levels", [99, 400, 100_000])
def test_arguments_that_are_nested_too_deep_are_refused(task, levels):
    with pytest.raises(MessageTooDeep, match="nested deeper than 100 levels") as raised:
        task.delay(nested(levels))

    assert "tests.refused.job" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert nothing_is_there()


def test_arguments_of_as_many_levels_as_may_be_are_sent(task):
    # The body and its arguments are two levels.
    task.delay(nested(98))
    task.delay(*[[number, [number]] for number in range(200)])

    assert TaskRecord.objects.count() == 2


def test_the_short_way_refuses_them_too(task):
    task.delay(nested(2))

    with pytest.raises(MessageTooDeep):
        task.delay(nested(99))
    with pytest.raises(MessageTooDeep):
        celeriac.publish_many([task.s(1), task.s(2), task.s(nested(99))])

    assert TaskRecord.objects.count() == 1


def test_a_message_that_is_too_large_is_refused(task):
    with override_settings(CELERIAC={"MAX_MESSAGE_BYTES": 2000}), pytest.raises(MessageTooLarge) as raised:
        task.delay("x" * 2000)

    assert len(str(raised.value).splitlines()) == 1
    assert nothing_is_there()


def test_headers_that_are_nested_too_deep_are_refused(task):
    with pytest.raises(EncodeError):
        task.apply_async(headers={"mine": nested(120)})

    assert nothing_is_there()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"queue": "q" * 201}, "The queue 'qqqq.*… has 201 characters, and 200 are possible"),
        ({"queue": "a\x00b"}, "The queue 'a.x00b' has a character that no database can store"),
        ({"queue": "a\ud800"}, "The queue 'a.ud800' has a character"),
        ({"routing_key": "k" * 201}, "The routing key 'k.* has 201 characters"),
        ({"exchange": "e" * 201, "routing_key": "k"}, "The exchange 'e.* has 201 characters"),
    ],
    ids=["long", "NUL", "half of a pair", "routing key", "exchange"],
)
def test_a_name_that_fits_into_no_table_is_refused(task, options, line):
    with pytest.raises(NameRefused, match=line) as raised:
        task.apply_async(**options)

    assert len(str(raised.value).splitlines()) == 1
    assert nothing_is_there()


@pytest.mark.parametrize("name", ["t" * 256, "a\x00b"])
def test_a_task_name_that_fits_into_no_table_is_refused(task, name):
    with pytest.raises(NameRefused, match="The task "):
        task.app.send_task(name)

    assert nothing_is_there()


def test_a_queue_to_pause_has_a_name_that_fits():
    with pytest.raises(NameRefused):
        celeriac.control.pause("q" * 201)


def test_depth_is_that_of_the_text_and_not_of_what_stands_in_its_strings():
    seed = secrets.randbits(32)
    chance = random.Random(seed)  # noqa: S311 - not a secret

    def grown(levels):
        if levels == 0:
            return chance.choice(['"[[[', "\\", '\\"{{', 1, None, ""])
        others = [chance.choice(["]]", 1, [], {}]) for _ in range(chance.randrange(60))]
        return [*others, grown(levels - 1)] if chance.random() < 0.5 else {'"k[': grown(levels - 1)}

    for _ in range(100):
        value = grown(chance.randrange(1, 130))
        text, is_deep = json.dumps(value), depth_of(value) > 100
        assert nesting.is_too_deep(text) == nesting.is_too_deep(text.encode()) == is_deep, (seed, text)


def depth_of(value):
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth_of, value.values() if isinstance(value, dict) else value), default=0)


def test_a_text_that_is_no_json_takes_no_longer_than_its_length():
    text = "[" * 200 + '"' + '\\"' * 500_000

    assert nesting.is_too_deep(text)


def test_a_compression_that_a_worker_of_a_database_cannot_bound_is_refused_there(task, monkeypatch):
    monkeypatch.setitem(compression._encoders, "application/x-own", zlib.compress)
    is_database = task.app is get_app()

    if is_database:
        with pytest.raises(MessageRefused, match=r"which cannot be read within a bound\. Use gzip"):
            task.apply_async(compression="application/x-own")
    else:
        task.apply_async(compression="application/x-own")
    task.apply_async(compression="zstd")

    assert TaskRecord.objects.count() == (1 if is_database else 2)
