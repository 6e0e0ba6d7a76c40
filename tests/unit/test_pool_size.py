"""The size of a worker's pool."""

from types import SimpleNamespace

import pytest

from celeriac.worker import pool_size


@pytest.mark.parametrize(
    ("pool", "concurrency", "autoscale", "expected"),
    [
        ("prefork", 4, None, (4, 4)),
        ("threads", 4, (8, 2), (2, 8)),
        ("solo", 4, None, (1, 1)),
        ("solo", 4, (8, 2), (1, 1)),
        ("prefork", None, None, (0, 0)),
    ],
)
def test_the_bounds_are_what_the_pool_grows_to(pool, concurrency, autoscale, expected):
    worker = SimpleNamespace(concurrency=concurrency, autoscale=autoscale)

    assert pool_size.bounds(worker, pool) == expected
