"""A place of one's own on Redis and RabbitMQ: taken by a test, given back empty."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import pytest

from celeriac.broker import processes
from tests import servers

if TYPE_CHECKING:
    from redis import Redis

#: Redis has 16 databases unless told otherwise; 0 is left alone: what tools use by default is there.
REDIS_DATABASES = range(1, 16)
MARK = "celeriac-test-process"
#: Two processes never take the same database, and one with anybody's keys is never taken.
TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder == ARGV[2] then redis.call('FLUSHDB') end
if redis.call('DBSIZE') > 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
RABBITMQCTL_SECONDS = 60


@contextmanager
def redis_database(process: int) -> Iterator[str]:
    """The URL of an empty database of Redis; it is emptied again at the end."""
    import redis

    base = servers.require("redis").url.rstrip("/")
    for number in REDIS_DATABASES:
        client = redis.Redis.from_url(f"{base}/{number}")
        if _take(client, process):
            break
        client.close()
    else:
        pytest.fail(f"No database of {base} is empty; the tests need one.", pytrace=False)
    try:
        yield f"{base}/{number}"
    finally:
        client.flushdb()
        client.close()


def _take(client: "Redis", process: int) -> bool:
    holder = (client.get(MARK) or b"").decode()
    abandoned = holder if holder and processes.is_gone(int(holder)) else ""
    return bool(client.eval(TAKE, 1, MARK, process, abandoned))


@contextmanager
def rabbitmq_vhost(name: str) -> Iterator[str]:
    """The URL of a new virtual host of RabbitMQ; one that the environment's URL names is used as it is."""
    server = servers.require("rabbitmq")
    parts = urlsplit(server.url)
    if parts.path.strip("/"):
        yield server.url
        return
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, parts.username or "guest", ".*", ".*", ".*")
        yield f"{server.url.rstrip('/')}/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*words: str) -> None:
    if shutil.which("rabbitmqctl") is None:
        _cannot_make_vhosts("rabbitmqctl is not on PATH")
    command = ["rabbitmqctl", "--quiet", *words]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=RABBITMQCTL_SECONDS)
    if ended.returncode:
        _cannot_make_vhosts((ended.stderr or ended.stdout).strip().partition("\n")[0])


def _cannot_make_vhosts(reason: str) -> NoReturn:
    advice = "run the tests as root, or set CELERIAC_TEST_RABBITMQ to a URL with a virtual host for tests"
    servers.do_without(f"RabbitMQ: no virtual host can be made ({reason}); {advice}.")
