"""What time it is for the database, mostly without asking: our monotonic clock goes on from its last answer.

The wall clock of a host may be wrong, and may jump. Where the database has no clock of its own, that is all
the same the clock that counts.
"""

import time

from django.db import connections

from celeriac.broker import clock
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import clocks
from celeriac.broker.session import BrokerSession


class DatabaseClock:
    """Of one session; safe in every thread."""

    def __init__(self, session: BrokerSession) -> None:
        self._session = session
        #: What it said, and the monotonic time when we had heard it.
        self._answer: tuple[int, float] | None = None

    def now(self, most_age_seconds: float = 0.0) -> int | None:
        """No later than it is, in microseconds; by an answer of that age at the most, or by an older one
        where the database is away. None: it is away and has never said.
        """
        if connections[self._session.alias].vendor == "sqlite":
            return clock.now()
        if self._answer is None or time.monotonic() - self._answer[1] >= most_age_seconds:
            self._ask()
        if self._answer is None:
            return None
        said, moment = self._answer
        return said + clock.seconds(time.monotonic() - moment)

    def _ask(self) -> None:
        try:
            said = self._session.run(clocks.now, atomic=False)
        except (BrokerConnectionLost, BrokerRefused):
            return  # What was claimed must not be lost over it.
        # Behind the answer, so that its way here ends nothing early.
        self._answer = (said, time.monotonic())
