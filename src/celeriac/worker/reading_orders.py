"""The thread of a worker that reads the tables of orders: the loop must not wait for a database."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.utils import timezone

from celeriac.broker import paused, payload
from celeriac.database import forks
from celeriac.database.complaints import Complaints
from celeriac.database.failures import first_line
from celeriac.results import revocations
from celeriac.results.pending import results_alias

logger = logging.getLogger(__name__)

_LOOK_SECONDS, _AGAIN_SECONDS = 30.0, 1.0
#: Each look at the revocations goes back as far: a transaction may be so long, and a clock so wrong.
_OVERLAP = timedelta(minutes=10)
#: All of them again: Celery's set of them may have forgotten some, and some have gone.
_ALL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What the tables say."""

    paused: frozenset[str]
    #: Ids of tasks.
    revoked: frozenset[str]
    #: By their header.
    stamps: dict[str, list[Any]]
    #: Whether these are all revocations, and not only the latest.
    is_all: bool


class Reader:
    """`hand_over` is called in its thread with what is read after the first time."""

    def __init__(self, hand_over: Callable[[Orders], object]) -> None:
        self._hand_over = hand_over
        self._first: Orders | None = None
        self._has_first = threading.Event()
        self._is_awaited = True
        #: Either the one who waits takes the first orders, or they are handed over.
        self._handing = threading.Lock()
        self._wake = threading.Event()
        self._is_ending = False
        self._all_at = -math.inf
        self._complaints = Complaints(logger)
        self._thread = threading.Thread(target=self._run, name="celeriac-orders", daemon=True)

    def start(self, seconds: float) -> Orders | None:
        """Begin; the first orders, or None when that takes longer: they are handed over, too, then."""
        self._thread.start()
        self._has_first.wait(seconds)
        with self._handing:
            self._is_awaited = False
            return self._first

    def look(self) -> None:
        """Read at once."""
        self._wake.set()

    def stop(self) -> None:
        """End soon; may be called twice."""
        self._is_ending = True
        self._wake.set()

    def _run(self) -> None:
        while not self._is_ending:
            self._wake.clear()
            try:
                found = self._read()
            except ImproperlyConfigured:
                # A project without a database has no orders.
                found = Orders(frozenset(), frozenset(), {}, is_all=True)
                self._is_ending = True
            except Error as error:
                self._complaints.say(
                    logging.WARNING, "What is revoked or paused cannot be read now: %s", first_line(error)
                )
                self._wake.wait(_AGAIN_SECONDS if math.isinf(self._all_at) else _LOOK_SECONDS)
                continue
            self._give(found)
            self._wake.wait(_LOOK_SECONDS)

    def _give(self, found: Orders) -> None:
        with self._handing:
            if self._is_awaited and self._first is None:
                self._first = found
                self._has_first.set()
                return
        if not self._is_ending:
            self._hand_over(found)

    def _read(self) -> Orders:
        now = time.monotonic()
        is_all = now - self._all_at >= _ALL_SECONDS
        with forks.working():
            try:
                names = paused.names(results_alias())
                rows = revocations.since(None if is_all else timezone.now() - _OVERLAP)
            finally:
                # Between two looks it keeps none: others may fork.
                connections.close_all()
        if is_all:
            self._all_at = now
        stamps: dict[str, list[Any]] = {}
        for header, value in rows:
            if header:
                stamps.setdefault(header, []).append(payload.decode(value))
        return Orders(
            frozenset(names), frozenset(value for header, value in rows if not header), stamps, is_all
        )
