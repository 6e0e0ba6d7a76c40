"""Speaks for Celery without Celeriac, on Redis with results in Redis."""

import random
from collections.abc import Sequence
from typing import Any

import redis
from celery import chain, chord, current_app
from tasks import body, link, newcomer, poison, work


def single(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A task by itself."""
    return [work.delay(numbers[0], seconds[0]).id]


def parts_and_body(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A chord; the last number is its body's."""
    result = chord([work.s(*each) for each in zip(numbers[:-1], seconds, strict=False)])(body.s(numbers[-1]))
    return [*(part.id for part in result.parent.results), result.id]


def links(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A chain."""
    result = chain(link.s(-1, numbers[0], seconds[0]), *map(link.s, numbers[1:], seconds[1:]))()
    ids = []
    while result is not None:
        ids.append(result.id)
        result = result.parent
    return ids[::-1]


def mixed(numbers: Sequence[int], seconds: Sequence[float], rng: random.Random, every: int) -> list[str]:
    """A task by itself; each so manieth ends whoever runs it."""
    if numbers[0] % every:
        return single(numbers, seconds, rng)
    return [poison.delay(numbers[0], rng.choice(("exit", "segfault"))).id]


def new_one(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A task that the old release does not know."""
    return [newcomer.delay(numbers[0], seconds[0]).id]


def left() -> dict[str, int]:
    """Messages that wait, and those that are held by somebody, living or not."""
    client: Any = redis.Redis.from_url(current_app.conf.broker_url)
    found = {"ready messages": client.llen("celery"), "claimed messages": client.hlen("unacked")}
    return {what: count for what, count in found.items() if count}


def results() -> dict[str, int]:
    """Not asked."""
    return {}


def regressed() -> int:
    """Not asked."""
    return 0


def dead_letters() -> list[str]:
    """There are none."""
    return []
