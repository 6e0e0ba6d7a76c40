"""The thread of a worker's main process that stores what many tasks came to, together with their acks.

Idle, it stores at once; busy, the next notes and acks collect while one commit is under way and for a
moment after it, so that the share of the time that goes into commits is bounded. The worker begins and stops
it; the pool's children never see it.
"""

import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker import processes
from celeriac.broker.claims import Noted
from celeriac.broker.deliveries import Deliveries
from celeriac.broker.errors import BrokerBusy, BrokerConnectionLost, BrokerRefused
from celeriac.database import failures
from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line, is_passing
from celeriac.database.session import Session
from celeriac.results import handoff, notes, retry, salvaging
from celeriac.results.journal import Reader
from celeriac.results.notes import Note

logger = logging.getLogger(__name__)

#: A task that has begun may end within so long, and then is stored once.
_BEGUN_SECONDS = 0.01
#: A note may, once in a very long time, come between a look and the wish to be told.
_LOOK_SECONDS = 1.0
#: After a commit the next one waits so many times its duration, and no longer than this.
_PAUSE_FACTOR, _LONGEST_PAUSE_SECONDS = 3.0, 0.05
#: How long the end of a worker waits for the database: what is left stays in the journals for the next.
_STOPPING_SECONDS = 5.0


class Flusher:
    """Begun and stopped by the worker's main thread; `collect` may be called from any."""

    def __init__(self, alias: str, deliveries: Deliveries | None, stem: Path) -> None:
        self._alias, self._deliveries, self._stem = alias, deliveries, stem
        self._bell = handoff.begin(stem)
        self._reader = Reader(stem, is_gone=processes.is_gone)
        self._session = Session(alias)
        #: Read, and not yet in the database.
        self._notes: list[Note] = []
        #: Whether nothing was left to read the last time.
        self._is_whole = True
        #: Messages whose results are stored, and whose acks are not.
        self._done: list[str] = []
        #: Called in the flusher's thread when what was noted before them is in the database.
        self._waiting: list[Callable[[], object]] = []
        #: Called there behind those of each commit.
        self.committed: Callable[[], object] = _nothing
        self._adding = threading.Lock()
        self._hurry = threading.Event()
        self._is_rung = self._is_stopping = False
        self._pause_seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="celeriac-flusher", daemon=True)

    def start(self) -> None:
        """Collect from now on."""
        if self._deliveries is not None:
            self._deliveries.collect_acks = self.collect
        self._thread.start()

    def collect(self, at_once: bool = False) -> None:
        """There is something to store; `at_once`: the worker waits for messages."""
        if at_once:
            self._hurry.set()
        if self._is_rung:
            return
        self._is_rung = True
        with suppress(OSError):
            os.write(self._bell, handoff.ENDED)

    def after_commit(self, action: Callable[[], object]) -> None:
        """Do it when the results of the tasks that have ended by now are in the database."""
        with self._adding:
            self._waiting.append(action)
        self.collect()

    def flush(self, seconds: float) -> bool:
        """Wait until what has ended by now is in the database; False: that takes longer."""
        stored = threading.Event()
        self.after_commit(stored.set)
        self.collect(at_once=True)
        return stored.wait(seconds)

    def stop(self) -> None:
        """Store what is left, and end the thread; may be called twice."""
        self._is_stopping = True
        self.collect(at_once=True)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_STOPPING_SECONDS + 10)
        if self._deliveries is not None:
            self._deliveries.collect_acks = None
        handoff.end(self._stem)

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._wait()
                self._flush_patiently()
            if self._flush_patiently():
                self._reader.remove()
        finally:
            self._reader.close()
            self._session.close()

    def _wait(self) -> None:
        """Until there is something to store, and a moment longer where that pays."""
        self._hurry.wait(self._pause_seconds)
        heard = self._hear(_LOOK_SECONDS)
        if heard and handoff.ENDED not in heard:
            self._hear_the_end()
        self._is_rung = False
        self._hurry.clear()

    def _hear_the_end(self) -> None:
        """A task has begun: give it a moment to end."""
        ends_at = time.monotonic() + _BEGUN_SECONDS
        while (left := ends_at - time.monotonic()) > 0:
            if handoff.ENDED in self._hear(left):
                break

    def _hear(self, seconds: float | None) -> bytes:
        """What has rung, waited for at most so long."""
        if select.select([self._bell], [], [], seconds)[0]:
            return os.read(self._bell, 65536)
        return b""

    def _flush_patiently(self) -> bool:
        """Store what there is, again until the database takes it; False: the worker stops before that."""
        began, complaints, is_worth_telling = time.monotonic(), Complaints(logger), False
        for number in itertools.count(1):
            try:
                started = time.monotonic()
                done = self._flush_all()
                # Alone, a result is stored at once, also when another one has just been.
                lasted = time.monotonic() - started if done > 1 else 0.0
                self._pause_seconds = min(lasted * _PAUSE_FACTOR, _LONGEST_PAUSE_SECONDS)
                if is_worth_telling:
                    logger.warning("Database %r is back after %.1f s.", self._alias, time.monotonic() - began)
                return True
            except (Error, BrokerConnectionLost, BrokerRefused, OSError) as error:
                self._salvage(error)
                # A lock is everyday and soon free.
                is_worth_telling |= not _is_busy(error) or time.monotonic() - began > _LOOK_SECONDS
                if is_worth_telling:
                    complaints.say(
                        logging.WARNING, "Results of tasks wait for the database: %s", first_line(error)
                    )
            except Exception as error:
                logger.exception("What tasks came to could not be stored together.")
                self._salvage(error)
            if self._is_stopping and time.monotonic() - began > _STOPPING_SECONDS:
                logger.error("The worker stops without the database: its results wait in %s.", self._stem)
                return False
            retry.pause(min(number, retry.TRIES))
        raise AssertionError("unreachable")

    def _flush_all(self) -> int:
        """Store until nothing is left to read; how many."""
        done = self._flush()
        while not self._is_whole:
            done += self._flush()
        return done

    def _flush(self) -> int:
        """Store what is noted and settled by now, in one transaction where that is possible; how many."""
        with self._adding:
            actions, self._waiting = self._waiting, []
        try:
            if self._deliveries is None:
                self._read()
                self._store_apart()
            elif self._deliveries.alias == self._alias:
                self._deliveries.exchange(self._read, self._store)
            else:
                self._deliveries.exchange(self._read_and_store, _nothing)
            if not self._is_whole:
                # Results of what ended before these may be left.
                self._put_back(actions)
                actions = []
        except BaseException:
            self._put_back(actions)
            raise
        done = max(len(self._notes) + len(self._done), len(actions))  # A task's note and its ack are one.
        self._notes, self._done = [], []
        for action in actions:
            action()
        self.committed()
        self._reader.confirm()
        return done

    def _put_back(self, actions: list[Callable[[], object]]) -> None:
        with self._adding:
            self._waiting[:0] = actions

    def _salvage(self, error: Exception) -> None:
        """Store one by one what cannot be stored together."""
        cause = error.__cause__ if isinstance(error, BrokerRefused) else error
        if isinstance(cause, OSError) or (isinstance(cause, Error) and is_passing(cause)):
            return
        # What cannot be stored now stays, with all behind it.
        with suppress(Error):
            while self._notes:
                salvaging.store_one(self._session, self._notes[0])
                done = self._notes.pop(0).done
                self._done += [] if done is None else [done]

    def _read(self) -> Noted:
        """Read on, unless the last reading is not stored yet."""
        self._is_whole = not self._notes
        if self._is_whole:
            self._notes = notes.readable(self._reader.read())
            self._is_whole = self._reader.is_at_end
        tags = [*self._done, *(note.done for note in self._notes if note.done is not None)]
        return Noted(tags, bool(self._notes), self._is_whole)

    def _store(self, connection: BaseDatabaseWrapper) -> None:
        """Write what is read, in the caller's transaction."""
        notes.store(connection, self._notes)

    def _read_and_store(self) -> Noted:
        noted = self._read()
        self._store_apart()
        self._done, self._notes = list(noted.tags), []
        return noted

    def _store_apart(self) -> None:
        if self._notes:
            self._session.run(self._store, patience_seconds=0)


def _nothing(*_: BaseDatabaseWrapper) -> None:
    """Results are in another database than messages, and are stored already."""


def _is_busy(error: Exception) -> bool:
    return isinstance(error, BrokerBusy) or (isinstance(error, Error) and failures.is_busy(error))
