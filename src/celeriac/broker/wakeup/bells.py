"""Ringing: how a message wakes one consumer of its queue.

On the publisher's host by the queue's doorbell. Where nobody idle is there, PostgreSQL tells the other hosts.
"""

import time
from collections.abc import Iterable
from contextlib import suppress

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import queries_for
from celeriac.broker.session import BrokerSession
from celeriac.broker.wakeup import doorbell

#: NOTIFY takes a lock that all commits share: a burst of publishes rings once per this many seconds.
NOTIFY_EVERY_SECONDS = 0.01
#: Rings so close together are one burst: each says that others are left out after it.
_BURST_SECONDS = 0.1
#: Begins the payload of such a ring: who hears it looks again when those are committed.
MORE_WILL_BE_LEFT_OUT = "+"
_MOST_QUEUES = 1000

#: (alias, queue): when it was rung last, and whether it was said that others are left out.
_last: dict[tuple[str, str], tuple[float, bool]] = {}


def ring(alias: str, queues: Iterable[str]) -> None:
    """Wake one consumer of each queue; what fails is left to their slow poll."""
    connection = connections[alias]
    far = _ring_here(alias, queues)
    if not far or connection.vendor != "postgresql":
        return
    try:
        notify(connection, far)
    except DatabaseError:
        # The message is committed; a consumer finds it when it looks the next time.
        connection.close_if_unusable_or_obsolete()


def pass_on(session: BrokerSession, queues: Iterable[str]) -> None:
    """Wake one consumer of each queue from a worker's loop, over its session."""
    far = _ring_here(session.alias, queues)
    if far and connections[session.alias].vendor == "postgresql":
        # What fails is left to their slow poll.
        with suppress(BrokerConnectionLost, BrokerRefused):
            session.run(lambda connection, _: notify(connection, far), atomic=False)


def notify(connection: Connection, queues: Iterable[str]) -> None:
    """Tell every host of messages in these queues, but for those that were told of a moment ago."""
    payloads = [payload for queue in queues if (payload := _payload(connection.alias, queue)) is not None]
    if payloads:
        queries_for(connection).notify(connection, payloads)


def _ring_here(alias: str, queues: Iterable[str]) -> list[str]:
    """Ring on this host; the queues that nobody idle here consumes."""
    return [queue for queue in queues if not doorbell.ring(alias, queue)]


def _payload(alias: str, queue: str) -> str | None:
    """What is said of the queue now; None: nothing, for that was said before."""
    now, key = time.monotonic(), (alias, queue)
    before, was_marked = _last.get(key, (-_BURST_SECONDS, False))
    gap = now - before
    if was_marked and gap < NOTIFY_EVERY_SECONDS:
        return None
    is_burst = gap < (_BURST_SECONDS if was_marked else NOTIFY_EVERY_SECONDS)
    if len(_last) >= _MOST_QUEUES:
        _last.clear()
    _last[key] = (now, is_burst)
    return f"{MORE_WILL_BE_LEFT_OUT}{queue}" if is_burst else queue
