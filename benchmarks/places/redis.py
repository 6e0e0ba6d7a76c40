"""A database of Redis that was empty; only one with our mark is ever emptied."""

import os
from typing import Any

from benchmarks.places.base import Place, Unreachable, server

#: 0 is left alone: what tools use by default is there.
NUMBERS = range(1, 16)
MARK = "celeriac-benchmark-process"


class Redis(Place):
    """Found among those that hold nothing, and marked, so that no other run takes it."""

    def make(self) -> None:
        for number in NUMBERS:
            self._url = f"{server('redis').url.rstrip('/')}/{number}"
            if self._take():
                return
        raise Unreachable("Redis: none of its databases 1 to 15 is empty.")

    @property
    def url(self) -> str:
        return self._url

    def empty(self) -> None:
        client = self._client()
        client.flushdb()
        client.set(MARK, os.getpid())
        client.close()

    def drop(self) -> None:
        client = self._client()
        client.flushdb()
        client.close()

    def _take(self) -> bool:
        client = self._client()
        try:
            is_ours = client.dbsize() == 0 and client.set(MARK, os.getpid(), nx=True)
            return bool(is_ours) and client.dbsize() == 1
        finally:
            client.close()

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self._url)
