"""Ringing: how a publisher wakes the consumers of a database."""

import time

from django.db import DatabaseError, connections

from celeriac.broker.queries import queries_for
from celeriac.broker.wakeup import doorbell

#: NOTIFY takes a lock that all commits share: a burst of publishes rings once per this many seconds.
#: A consumer that was woken keeps looking for longer than that, so the rest of a burst is found.
NOTIFY_EVERY_SECONDS = 0.01
_last_notify: dict[str, float] = {}


def ring(alias: str) -> None:
    """Wake the consumers of the alias, here and elsewhere; what fails is left to their slow poll."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        _notify(alias)
    else:
        doorbell.ring(alias)


def _notify(alias: str) -> None:
    now = time.monotonic()
    if now - _last_notify.get(alias, 0.0) < NOTIFY_EVERY_SECONDS:
        return
    _last_notify[alias] = now
    connection = connections[alias]
    try:
        queries_for(connection).notify(connection)
    except DatabaseError:
        # The message is committed; a consumer finds it when it looks the next time.
        connection.close_if_unusable_or_obsolete()
