"""Whether a task has expired says the clock of the database that carries it, not that of the worker's host.

Celery looks when the message comes and again when the task is to begin. The request keeps the true moment,
which it hands on to a retry and to what replaces the task; only the comparison is another one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.worker import state
from celery.worker.request import Request

from celeriac.broker import clock
from celeriac.broker.channel import Channel

#: How old the database's answer may be: it is asked once a minute at the most, and before a task is dropped.
_TO_NOTICE, _TO_DROP = 60.0, 1.0


def install() -> None:
    """Look at every task that expires; may be called twice."""
    if not hasattr(Request.maybe_expire, "__wrapped__"):
        Request.maybe_expire = _by_database(Request.maybe_expire)


def _by_database(maybe_expire: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(maybe_expire)
    def judged(request: Any) -> Any:
        channel = request.message.channel
        if not isinstance(channel, Channel) or not request.expires:
            return maybe_expire(request)
        ends, database = clock.parse(request.expires), channel.deliveries.claims.clock
        if not all(_is_over(ends, database.now(age)) for age in (_TO_NOTICE, _TO_DROP)):
            return None
        state.revoked.add(request.id)
        return True

    return judged


def _is_over(ends: int, now: int | None) -> bool:
    """Celery runs what ends in this very moment."""
    return now is not None and now > ends
