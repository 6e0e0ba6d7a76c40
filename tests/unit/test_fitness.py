"""Which messages a worker can run, as far as that is seen before Celery tries."""

import pickle
import random

import pytest
from kombu.message import Message

from celeriac.worker import fitness

HEADERS = {"task": "tests.job", "id": "a"}


def fault_of(body, content_type, encoding="utf-8"):
    message = Message(body, content_type=content_type, content_encoding=encoding, headers=dict(HEADERS))
    message.accept = {content_type}
    return fitness.fault_of(message, {"tests.job"})


def test_bytes_that_look_like_brackets_are_no_fault_of_a_pickle():
    noise = random.Random(5).randbytes(900_000)  # noqa: S311 - not a secret
    for held in (noise, b"[" * 5000):
        body = pickle.dumps(((held,), {}, {}))
        assert fault_of(body, "application/x-python-serialize", "binary") is None


@pytest.mark.parametrize("content_type", ["application/json", "application/x-own+json"])
def test_json_of_any_name_that_is_nested_too_deep_is_a_fault(content_type):
    body = "[[" + "[" * 101 + "]" * 101 + "], {}, {}]"

    assert "nested deeper" in fault_of(body, content_type)
