"""What kombu inflates in a worker of RabbitMQ or Redis: within a bound where that can be had."""

import zlib

import pytest
from django.test import override_settings
from kombu import compression

from celeriac.broker.compression import bound_kombus

MOST = 16_000


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    monkeypatch.setattr(compression, "_decoders", dict(compression._decoders))
    monkeypatch.setattr(compression, "_encoders", dict(compression._encoders))
    monkeypatch.setattr(compression, "_aliases", dict(compression._aliases))
    compression.register(zlib.compress, zlib.decompress, "application/x-own", ["own"])
    bound_kombus()
    with override_settings(CELERIAC={"MAX_MESSAGE_BYTES": 1000}):
        yield


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lzma", "zstd", "brotli"])
def test_a_body_is_inflated_up_to_the_bound_whole_or_not_at_all(name):
    for size in (0, 1, MOST):
        assert compression.decompress(*compression.compress(b"0" * size, name)) == b"0" * size
    packed, kind = compression.compress(b"0" * (MOST + 1), name)
    with pytest.raises(ValueError, match="inflates to more than 16,000 bytes"):
        compression.decompress(packed, kind)
    packed, kind = compression.compress(b"0123456789", name)
    with pytest.raises(Exception):  # noqa: B017, PT011 - each library has an error of its own
        compression.decompress(packed[:-1], kind)


def test_a_compression_of_the_projects_own_is_read_as_ever():
    body = b"0" * (2 * MOST)

    assert compression.decompress(*compression.compress(body, "own")) == body
