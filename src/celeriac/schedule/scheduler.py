"""A thread of a worker that fires what is due. Any number of workers have one, and none needs the others.

It sleeps until the next due time by the database's clock, looks every few seconds at what was edited, and
keeps connections of its own.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf

from celery import Celery
from django.db import Error, IntegrityError, connections

from celeriac.broker import address, clock
from celeriac.broker.queries import clocks, queries_for
from celeriac.conf import options
from celeriac.database import failures, forks
from celeriac.database.complaints import Complaints
from celeriac.database.session import Session
from celeriac.models import ScheduleState
from celeriac.results.pending import results_alias
from celeriac.schedule import beats, states, table, ticks
from celeriac.schedule.book import Book

logger = logging.getLogger(__name__)

#: Between two looks at the table, and at how far the others have come.
LOOK_SECONDS = 5.0
_LATE_SECONDS, _BUSY_SECONDS, _AWAY_SECONDS = 0.05, 0.05, 1.0
_RESTING_SECONDS = 3600.0
#: Not all together, where the others then find that it is done.
_STAGGER_SECONDS = 0.03


def alias_of(app: Celery) -> str:
    """The database of ticks and states: where the messages are, or else the results and the outbox."""
    return address.alias_of(app) or results_alias()


def is_by_outbox(app: Celery) -> bool:
    """Whether the broker is no database, so that a tick and its task meet in the outbox."""
    return address.alias_of(app) is None


class Scheduler:
    """Begun and stopped by the worker's main thread."""

    def __init__(self, app: Celery) -> None:
        self._app, self._alias = app, alias_of(app)
        aliases = {self._alias, results_alias(), table.alias()}
        self._sessions = {alias: Session(alias) for alias in aliases}
        self._book = Book(app)
        self._states: dict[str, ScheduleState] = {}
        #: The database's time less that of a clock here that nobody sets, in microseconds.
        self._offset = 0
        #: When the database has refused an entry last.
        self._refused_at: dict[str, float] = {}
        self._look_at = self._started_at = time.monotonic()
        self._beats = beats.Beats()
        #: When the database did not answer last.
        self._away_at = -inf
        self._stagger = random.uniform(0, _STAGGER_SECONDS)  # noqa: S311 - not a secret
        self._ending = threading.Event()
        self._is_resting = False
        self._complaints = Complaints(logger)
        self._thread = threading.Thread(target=self._run, name="celeriac-scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def rest(self) -> None:
        """Fire nothing more; may be called in a signal's handler, and so takes no lock."""
        self._is_resting = True

    def stop(self) -> None:
        """End after what is being fired; may be called twice."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.wait(pause):
            pause = self._turn()
        for session in self._sessions.values():
            session.close()

    def _turn(self) -> float:
        """Look if it is time, and fire what is due; how many seconds there is nothing to do."""
        if self._is_resting:
            return _RESTING_SECONDS
        try:
            with self._on_own_connections():
                if time.monotonic() >= self._look_at:
                    self._look()
                self._fire_due()
        except IntegrityError as error:
            # Another version of an entry has fired this moment.
            self._complaints.say(
                logging.INFO, "A due time is looked at again: %s", failures.first_line(error)
            )
            return _BUSY_SECONDS
        except Error as error:
            if failures.is_busy(error):
                return _BUSY_SECONDS
            self._away_at = time.monotonic()
            self._complaints.say(
                logging.WARNING, "The schedule waits for its database: %s", failures.first_line(error)
            )
            return _AWAY_SECONDS
        except Exception:
            logger.exception("The schedule could not be followed; the next try is soon.")
            return _AWAY_SECONDS
        return self._pause()

    def _look(self) -> None:
        """Read what was edited, and how far the others have come."""
        connection = connections[self._alias]
        self._offset = clock.now() - clocks.ahead(connection, queries_for(connection)) - _steady()
        now = self._now()
        entries = self._book.read()
        states.forget_disabled(self._alias, entries, kept=self._book.unusable)
        self._states = states.of(self._alias, entries, now)
        states.note_seen(self._alias, self._states.values(), now)
        self._leave_to_beat(now)
        if time.monotonic() - self._started_at > states.GONE_AFTER / clock.MICROSECONDS:
            states.forget_gone(self._alias, now)
        self._disable_what_has_ended()
        self._look_at = time.monotonic() + LOOK_SECONDS

    def _leave_to_beat(self, now: int) -> None:
        """While a beat of Celery's lives, it has the entries of the settings, and notes what it sends."""
        # An outage has silenced a beat as well, which comes back as we do.
        is_proof = time.monotonic() - self._away_at > 2 * options().heartbeat_seconds
        before, self._beats = self._beats, beats.look(self._alias, now, is_silence_proof=is_proof)
        place = self._beats.place
        if place is not None:
            self._states = {name: state for name, state in self._states.items() if state.is_from_table}
        if place is not None and before.place is None:
            logger.warning("`celery beat` runs (%s): the entries of the settings are left to it.", place)
        elif place is None and before.place is not None:
            logger.warning("`celery beat` (%s) has ended: workers carry its entries again.", before.place)

    def _disable_what_has_ended(self) -> None:
        ended = [state.name for state in self._states.values() if state.next_due is None]
        if names := [name for name in ended if self._book.entry(name).is_one_off]:
            table.disable(names)

    def _fire_due(self) -> None:
        now = self._now()
        due = [name for name, state in self._states.items() if (state.next_due or now + 1) <= now]
        if not due:
            return
        # The others may have been sooner, which is asked without a lock. What is gone the next look finds.
        keys = [self._states[name].pk for name in due]
        found = list(states.rows(self._alias).filter(pk__in=keys).order_by("next_due"))
        for name in due:
            del self._states[name]
        self._states |= {state.name: state for state in found}
        # One that is refused each time, and ends the turn, comes behind the others.
        for state in sorted(found, key=lambda each: self._refused_at.get(each.name, 0.0)):
            if self._ending.is_set():
                return
            if state.next_due is not None and state.next_due <= now:
                self._fire_or_hold(state, now)

    def _fire_or_hold(self, state: ScheduleState, now: int) -> None:
        """One that cannot be dealt with holds up no other."""
        try:
            self._fire(state, now)
            self._refused_at.pop(state.name, None)
        except ticks.TRIED_AGAIN:
            self._refused_at[state.name] = time.monotonic()
            raise
        except Exception:
            logger.exception("Schedule %s cannot be followed; the next try is soon.", state.name)
            del self._states[state.name]

    def _fire(self, state: ScheduleState, now: int) -> None:
        entry = self._book.entry(state.name)
        silent = self._beats.silent
        count = ticks.fire(self._app, self._alias, entry, state, now, silent_beats=silent)
        if count:
            logger.info(
                "Schedule %s: %s is published%s.", entry.name, entry.task, f" {count} times" * (count > 1)
            )
        found = states.rows(self._alias).filter(pk=state.pk).first()
        if found is not None:
            self._states[state.name] = found
        else:
            del self._states[state.name]

    def _pause(self) -> float:
        """Until the next due time, or the next look."""
        until_look = self._look_at - time.monotonic()
        soonest = min((state.next_due for state in self._states.values() if state.next_due), default=None)
        if soonest is None:
            return max(0.0, until_look)
        until_due = (soonest - self._now()) / clock.MICROSECONDS
        # What is late, because another one is at it, is looked at again a little later.
        pause = until_due if until_due > 0 else _LATE_SECONDS
        return max(0.0, min(pause + self._stagger, until_look))

    def _now(self) -> int:
        """The database's time."""
        return self._offset + _steady()

    @contextmanager
    def _on_own_connections(self) -> Iterator[None]:
        """Let Django's names of the databases mean our own connections, in this thread."""
        with forks.working():
            try:
                for alias, session in self._sessions.items():
                    connections[alias] = session.connection()
                yield
            except Error as error:
                if not failures.is_busy(error):
                    for session in self._sessions.values():
                        session.close()
                raise
            finally:
                for alias in self._sessions:
                    with suppress(AttributeError):
                        del connections[alias]
                # What others have opened on the way.
                connections.close_all()


def _steady() -> int:
    """Microseconds that pass whatever becomes of the clock on the wall between two looks."""
    return time.monotonic_ns() // 1000
