"""A worker's row calls its pool as the command line does."""

from types import SimpleNamespace

import pytest
from celery.concurrency import get_implementation

from celeriac.worker.steps import _pool_name


@pytest.mark.parametrize("name", ["prefork", "solo", "threads"])
def test_a_pool_is_called_as_on_the_command_line(name):
    assert _pool_name(SimpleNamespace(pool_cls=get_implementation(name))) == name
