"""The outbox: with a broker that is no database a task is a row first, in the caller's transaction.

After the commit whoever published it sends it at once and deletes the row. Where that fails, or the process
is gone, the workers send it (`worker/relay`): so a broker that is away at the publish loses nothing, and
nobody waits for it longer than once in a while.
"""

import logging
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import Celery
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from celeriac.broker import caller, outgoing, sending
from celeriac.broker.outgoing import Outgoing
from celeriac.broker.queries import outbox
from celeriac.conf import options
from celeriac.database.inserting import Insert
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

#: A worker takes over what a publisher has held for longer than `relay.OVERDUE_SECONDS`, as far as it can
#: see; so the publisher begins no message when it has been at it for so long.
_SENDING_SECONDS = 4.0
#: After a failure this process leaves the sending to the workers for so long.
_AWAY_SECONDS = 10.0
#: Deleted together: so many run again at the most when the publisher is killed while it sends.
_STEP = 100

#: By the app's name; when the broker may be tried again. Threads may differ about it: it saves waiting only.
_away_until: dict[str | None, float] = {}


#: Whether what is published here goes through the outbox whatever the setting says.
_is_always_on: ContextVar[bool] = ContextVar("celeriac_outbox_is_always_on", default=False)


@contextmanager
def always() -> Iterator[None]:
    """Publish through the outbox within, also with the setting off: it needs a worker whose relay runs."""
    token = _is_always_on.set(True)
    try:
        yield
    finally:
        _is_always_on.reset(token)


def alias_for(app: Celery) -> str | None:  # noqa: ARG001 - an app of its own may have its own some day
    """The database with the outbox; None: it is off."""
    if not (options().outbox or _is_always_on.get()):
        return None
    alias = results_alias()
    return None if connections.settings[alias]["ENGINE"].endswith(".dummy") else alias


class Outbox:
    """Messages of one block, in order: rows, and what they are made of, to be sent at once."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._held: list[tuple[Celery, Outgoing]] = []
        self._rows: list[tuple[Any, ...]] = []
        #: About how many bytes the largest row has.
        self.largest = 0
        self._holder = outbox.NOBODY
        self._written_at = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    def producer(self, app: Celery, task: tuple[str, str, str], real: Any) -> Any:
        """A producer like the real one that puts what is ready to be sent in here, for (queue, id, name)."""

        def keep(*message: Any) -> None:
            self._keep(app, task, Outgoing(*message))

        # As in `holding`.
        keeping = object.__new__(type(real))
        vars(keeping).update(vars(real))
        keeping._publish = keep
        return keeping

    def take_back(self, to: int) -> None:
        """Forget what came after so many."""
        del self._held[to:], self._rows[to:]

    def inserts(self, connection: Connection) -> list[Insert]:
        """The rows; held by this publisher, if it will send them itself."""
        self._written_at = time.monotonic()
        self._holder = _new_holder() if self._sends_itself(connection) else outbox.NOBODY
        return [outbox.rows([(self._holder, *row) for row in self._rows])]

    def send_after_commit(self, producer: Any = None) -> None:
        """Send them as soon as they are there for everybody; never raises for the broker.

        Now by `producer`, if one is given: who waits for a second one of a pool of few may wait for ever.
        """
        if self._holder == outbox.NOBODY:
            return
        if connections[self._alias].in_atomic_block:
            caller.after_commit(self._alias, self._send)
        else:
            self._send(producer)

    def _keep(self, app: Celery, task: tuple[str, str, str], message: Outgoing) -> None:
        text = outgoing.encode(message, app.amqp.queues)
        queue, task_id, name = task
        self._held.append((app, message))
        self._rows.append((len(self._rows), queue[:200], task_id, name[:255], text, 0, ""))
        self.largest = max(self.largest, len(text))

    def _sends_itself(self, connection: Connection) -> bool:
        if not connection.in_atomic_block and not connection.get_autocommit():
            return False  # Django does not tell of a manual commit.
        now = time.monotonic()
        return all(now >= _away_until.get(app.main, 0.0) for app, _ in self._held)

    def _send(self, producer: Any = None) -> None:
        started = time.monotonic()
        sent = deleted = 0
        try:
            # After so long somebody may have taken them for a dead publisher's.
            if started - self._written_at > _SENDING_SECONDS and not self._hold_anew():
                return
            for app, message in self._held:
                if time.monotonic() - started > _SENDING_SECONDS or not _sent(app, message, producer):
                    break
                sent += 1
                if sent - deleted >= _STEP:
                    self._delete(sent)
                    deleted = sent
        finally:
            self._end(sent, deleted)

    def _hold_anew(self) -> bool:
        before, self._holder = self._holder, _new_holder()
        return self._changed(lambda connection: outbox.pass_on(connection, before, self._holder)) == len(self)

    def _end(self, sent: int, deleted: int) -> None:
        if sent > deleted:
            self._delete(sent)
        if sent < len(self):
            self._changed(lambda connection: outbox.give_back(connection, self._holder))

    def _delete(self, sent: int) -> None:
        self._changed(lambda connection: outbox.forget_places(connection, self._holder, sent))

    def _changed(self, change: Any) -> int:
        """What `change` has done to the rows; 0 also when the database is away: the workers see to them."""
        changed = 0

        def work() -> None:
            nonlocal changed
            changed = change(connections[self._alias])

        try:
            caller.outside_of_transactions(self._alias, work)
        except DatabaseError:
            logger.exception("The outbox could not be written to; a task may be sent twice.")
        return changed


def _sent(app: Celery, message: Outgoing, producer: Any) -> bool:
    """Whether the broker has it; else the workers try."""
    try:
        with app.producer_or_acquire(producer) as real:
            sending.send(real, message)
        _away_until.pop(app.main, None)
        return True
    except sending.Refused as error:
        logger.warning("The broker refused a task, which is tried again by the workers: %s", error)
    except Exception as error:  # noqa: BLE001 - the row is what counts, and the caller has committed
        # Told once: nothing is lost.
        level = logging.DEBUG if app.main in _away_until else logging.WARNING
        logger.log(level, "The broker is away; workers will send what is published meanwhile: %s", error)
        _away_until[app.main] = time.monotonic() + _AWAY_SECONDS
    return False


def _new_holder() -> int:
    return secrets.randbelow(outbox.FIRST_WORKER - 1) + 1
