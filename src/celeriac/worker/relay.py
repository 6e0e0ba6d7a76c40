"""Sends what waits in the outbox: what a publisher could not send, or did not live to send.

A thread of a worker's main process, with a connection of its own. One worker sends at a time, in order of the
publish; of what nobody may have sent yet nothing is sent twice, but for a crash between a message and the
deletion of its row.
"""

import logging
import secrets
import threading
import time
from functools import partial
from typing import Any

from celery import Celery
from django.db import Error, connections

from celeriac.broker import clock, outgoing, sending
from celeriac.broker.queries import outbox
from celeriac.broker.queries.outbox import Waiting
from celeriac.conf import options
from celeriac.database import failures
from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line
from celeriac.database.session import Session
from celeriac.dead_letters import REVOKED, dead_lettered, shown_by
from celeriac.worker import scheduling

logger = logging.getLogger(__name__)

#: Who has held rows for so long, by the clock of whoever looks, is gone: each stops to send before that.
OVERDUE_SECONDS = 15.0
#: So long after its claim no message is begun; one takes 8 s at the most.
_SENDING_SECONDS = 4.0
_MOST = 100
_MOST_HOLDERS = 1000
#: Between two looks at who holds rows, and two tries of what was refused.
_LOOK_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 5.0


def _is_needed() -> bool:
    """Whether something may still come, which for a schedule does not depend on the setting."""
    return options().outbox or scheduling.is_running()


class Relay:
    """Begun and stopped by the worker's main thread."""

    def __init__(self, app: Celery, alias: str) -> None:
        self._app, self._alias = app, alias
        self._session = Session(alias)
        self._ending = threading.Event()
        self._producer: Any = None
        #: Who holds rows, and since when as seen here.
        self._holders: dict[int, float] = {}
        self._look_at = 0.0
        self._away_since: float | None = None
        self._complaints = Complaints(logger)
        self._thread = threading.Thread(target=self._run, name="celeriac-relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the message that is being sent; may be called twice."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(OVERDUE_SECONDS)

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.wait(pause):
            pause = options().poll_seconds
            try:
                if self._look() and not _is_needed():
                    break  # Nothing is left of the time when the setting was on.
            except sending.Away as error:
                self._tell_of_outage(error)
                pause = min(_LONGEST_PAUSE_SECONDS, max(pause, time.monotonic() - (self._away_since or 0.0)))
            except Error as error:
                if failures.is_missing_table(error) and not _is_needed():
                    break
                self._complaints.say(logging.WARNING, "The outbox cannot be read now: %s", first_line(error))
            except Exception:
                logger.exception("What waits in the outbox could not be sent; the next try is soon.")
        self._disconnect()
        self._session.close()

    def _look(self) -> bool:
        """Send what is there; whether nothing was. Raises Away."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._free_the_overdue()
        if not self._session.run(outbox.has_waiting, atomic=False):
            return not self._holders
        while not self._ending.is_set() and self._send_some():
            pass
        self._disconnect()
        return False

    def _free_the_overdue(self) -> None:
        """Take rows from holders that are gone, and try again what was refused."""
        found = self._session.run(lambda each: outbox.holders(each, _MOST_HOLDERS), atomic=False)
        now = time.monotonic()
        self._holders = {holder: self._holders.get(holder, now) for holder in found}
        for holder, since in self._holders.items():
            if holder == outbox.REFUSED or now - since >= OVERDUE_SECONDS:
                self._session.run(partial(outbox.give_back, holder=holder))

    def _send_some(self) -> bool:
        """Claim and send as many as one may; False: there was nothing. Raises Away."""
        holder = outbox.FIRST_WORKER + secrets.randbelow(outbox.FIRST_WORKER)
        claimed_at = time.monotonic()
        claimed = self._claimed(holder)
        sent: list[int] = []
        try:
            for row in claimed:
                if self._ending.is_set() or time.monotonic() - claimed_at > _SENDING_SECONDS:
                    break
                if row.is_revoked:
                    self._give_up(row, REVOKED)
                elif not self._is_sent(holder, row):
                    continue
                sent.append(row.id)
        finally:
            if claimed:
                self._end(holder, sent, is_whole=len(sent) == len(claimed))
        return bool(claimed)

    def _claimed(self, holder: int) -> list[Waiting]:
        try:
            return self._session.run(lambda each: outbox.claim(each, holder, _MOST))
        finally:
            self._session.run(outbox.unlock, atomic=False)

    def _is_sent(self, holder: int, row: Waiting) -> bool:
        """Whether the broker has it; False: it does not take it, and the row is dealt with. Raises Away."""
        try:
            message = outgoing.decode(row.payload, self._app.amqp.queues)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the text will be so tomorrow
            self._refuse(holder, row, sending.Refused(f"it cannot be read: {error!r}", is_final=True))
            return False
        try:
            sending.send(self._connected(), message)
        except sending.Refused as error:
            self._refuse(holder, row, error)
            return False
        self._tell_of_return()
        return True

    def _refuse(self, holder: int, row: Waiting, error: sending.Refused) -> None:
        """Let it wait, or give it up: a dead letter."""
        if not error.is_final or row.refusals + 1 < options().max_deliveries:
            self._session.run(lambda each: outbox.put_off(each, holder, row.id, str(error)))
            self._complaints.say(
                logging.WARNING, "The broker does not take task %s now: %s", row.task_id, error
            )
            return
        reason = f"refused by the broker {row.refusals + 1} times: {error}"
        name = f"{row.task_name}[{row.task_id}]"
        logger.error("Task %s is a dead letter, %s. See: %s", name, reason, shown_by(row.task_id))
        self._give_up(row, reason)
        self._session.run(lambda each: outbox.bury(each, holder, row.id, reason, clock.now()))

    def _give_up(self, row: Waiting, reason: str) -> None:
        try:
            dead_lettered.send_robust(
                type(self), task_id=row.task_id, task_name=row.task_name, reason=reason, payload=row.payload
            )
        finally:
            # Of this thread, where a result was stored here.
            connections.close_all()

    def _end(self, holder: int, sent: list[int], *, is_whole: bool) -> None:
        def work(connection: Any) -> None:
            if sent:
                outbox.forget(connection, holder, sent)
            if not is_whole:
                outbox.give_back(connection, holder)

        # Longer, for what was sent and stays would be sent again.
        ends_at = time.monotonic() + _SENDING_SECONDS
        while True:
            try:
                return self._session.run(work)
            except Error as error:
                if not failures.is_passing(error) or time.monotonic() > ends_at:
                    raise
            # Nobody tells when the database is back, and the worker's end waits for this too.
            time.sleep(0.1)

    def _connected(self) -> Any:
        if self._producer is None:
            self._producer = self._app.amqp.Producer(
                self._app.connection_for_write(heartbeat=0), auto_declare=False
            )
        return self._producer

    def _disconnect(self) -> None:
        """Between two times of work it keeps no connection to the broker, which nobody would watch."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.release()

    def _tell_of_outage(self, error: sending.Away) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            logger.warning("The broker is away, and tasks wait in the outbox: %s", error)

    def _tell_of_return(self) -> None:
        if self._away_since is not None:
            seconds, self._away_since = time.monotonic() - self._away_since, None
            logger.warning("The broker is back after %.1f s, and takes what waits in the outbox.", seconds)


#: The one of this process. Set by the main thread only.
_relay: Relay | None = None


def start(app: Celery, alias: str) -> None:
    """Send what waits in the outbox of this database while the worker lives."""
    global _relay
    stop()
    _relay = Relay(app, alias)
    _relay.start()


def stop() -> None:
    """May be called twice."""
    global _relay
    if _relay is not None:
        _relay.stop()
        _relay = None
