"""Celery's own beat: it names what it sends, and our schedulers leave the entries of the settings to it.

It says that it is there before it sends anything, and notes what it has sent where our schedulers note it:
so nothing is sent twice when it begins, and what is due when it has ended is known to those who take over.
"""

import atexit
import logging
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery
from django.db import Error, transaction
from django.db.models import F

from celeriac.broker import caller, clock
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.presence import Presence
from celeriac.broker.queries import clocks
from celeriac.database import failures
from celeriac.errors import TablesMissing
from celeriac.schedule import beats, settings_entries, states
from celeriac.schedule.entries import Entry
from celeriac.schedule.scheduler import alias_of

logger = logging.getLogger(__name__)

_DAY = clock.seconds(86_400)


def follow(app: Celery, scheduler: Any, *, is_beside_us: bool) -> None:
    """Before its first look. `is_beside_us`: workers may carry the same entries."""
    told = _announced(app, scheduler) if is_beside_us else None
    send = scheduler.apply_async

    def apply_async(entry: Any, *args: Any, **more: Any) -> Any:
        if told is not None and told.is_sent_by_others(entry.name):
            return None
        given = entry.options or {}
        # Celery's own beat does not say whose task it is: results would not show it, nor `doctor` find it.
        headers = {"periodic_task_name": entry.name, **(given.get("headers") or {})}
        # What follows it is made of it.
        entry.options = {**given, "headers": headers}
        result = send(entry, *args, **more)
        if told is not None:
            told.note(entry.name, getattr(result, "id", None))
        return result

    scheduler.apply_async = apply_async


def _announced(app: Celery, scheduler: Any) -> "_Told | None":
    """None: our schedulers cannot be told, which is a warning where they may be there."""
    told = _Told(app)
    try:
        told.begin()
        told.take_over(scheduler)
    except TablesMissing:
        return None  # Without them no worker carries a schedule.
    except (Error, BrokerConnectionLost, BrokerRefused) as error:
        if not failures.is_missing_table(error.__cause__ or error):
            logger.warning(
                "Workers of `celery start` cannot be told of this beat, and may fire CELERY_BEAT_SCHEDULE "
                "too: %s. Start it again when the database answers, or them with --no-beat.",
                failures.first_line(error),
            )
        return None
    logger.info(
        "Workers of `celery start` leave CELERY_BEAT_SCHEDULE to this beat while it runs, and carry it when "
        "it ends. They need no beat."
    )
    return told


class _Told:
    """What our schedulers know of this beat."""

    def __init__(self, app: Celery) -> None:
        self._app, self._alias = app, alias_of(app)
        found = settings_entries.entries(app)
        self._entries = {each.name: each for each in found if isinstance(each, Entry)}
        self._presence = Presence(self._alias, beats.node(), is_reaping=False)
        #: The last task of each entry that was ours or that we know of.
        self._known: dict[str, str | None] = {}

    def begin(self) -> None:
        """From now on no scheduler of ours begins to fire an entry of the settings."""
        self._presence.begin()
        atexit.register(self._presence.end)

    def take_over(self, scheduler: Any) -> None:
        """What our schedulers have fired is not due here; those that are at it are waited for."""
        beats.forget(self._alias, caller.run(self._alias, clocks.now) - _DAY)
        rows = states.rows(self._alias).filter(is_from_table=False)
        with transaction.atomic(using=self._alias):
            # A change, as SQLite knows no other lock; whoever has a row has seen no beat yet.
            rows.update(seen_at=F("seen_at"))
            found = list(rows)
        for state in found:
            if self._is_of(state):
                self._known[state.name] = state.last_task_id
                _has_run(scheduler.schedule.get(state.name), state.last_fired_at)

    def note(self, name: str, task_id: str | None) -> None:
        """It was sent now, and so is due for a scheduler of ours after this moment alone."""
        if name not in self._entries:
            return
        self._known[name] = task_id
        try:
            caller.outside_of_transactions(self._alias, partial(self._move_on, name, task_id))
        except (Error, TablesMissing) as error:
            logger.warning(
                "It could not be noted that %s was sent: %s. If this beat ends now, workers send it again.",
                name,
                failures.first_line(error),
            )

    def is_sent_by_others(self, name: str) -> bool:
        """Whether a scheduler of ours has fired it while this process stood still, and was held for lost.

        Nothing of this process tells that it stood still: its heart beats again before it looks here.
        """
        if name not in self._entries:
            return False
        try:
            state = self._states(name).first()
        except (Error, TablesMissing):
            return False
        if state is None or state.last_task_id == self._known.get(name):
            return False
        # What is due next is its own again.
        self._known[name] = state.last_task_id
        return True

    def _move_on(self, name: str, task_id: str | None) -> None:
        now, timing = caller.run(self._alias, clocks.now), self._entries[name].timing
        # An interval counts from what was sent, as with beat.
        self._states(name).update(
            anchor=now,
            next_due=timing.after(now, now),
            last_due=now,
            last_fired_at=now,
            last_task_id=task_id,
        )

    def _states(self, name: str) -> Any:
        entry = self._entries[name]
        return states.rows(self._alias).filter(name=name, fingerprint=entry.fingerprint)

    def _is_of(self, state: Any) -> bool:
        entry = self._entries.get(state.name)
        return entry is not None and entry.fingerprint == state.fingerprint


def _has_run(entry: Any, moment: int | None) -> None:
    """Let the beat know that its entry was sent then."""
    if entry is None or moment is None:
        return
    zone = entry.default_now().tzinfo
    ran = datetime.fromtimestamp(moment / clock.MICROSECONDS, UTC).astimezone(zone)
    if entry.last_run_at is None or entry.last_run_at < ran:
        entry.last_run_at = ran
