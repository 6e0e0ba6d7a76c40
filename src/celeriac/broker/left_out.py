"""Messages of tasks that this process does not know: left to others, and given up when nobody comes.

Met for the first time, as in a rolling deploy, such a message goes back as if it had never been delivered,
and from then on the process claims messages of the tasks that it knows alone: each message comes to it once
at the most. When none of them waits any more, it claims as before.
"""

import logging
import time
from collections.abc import Sequence
from functools import partial

from celeriac.broker import clock
from celeriac.broker.deliveries import Deliveries
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import choosing
from celeriac.conf import options
from celeriac.dead_letters import UNKNOWN_TASK

logger = logging.getLogger(__name__)

#: Of a message that comes although its task's name is left out: a database may take two names for one.
_MOST_RETURNS = 5
_MOST_REMEMBERED = 10_000
#: The loop has other work; the next look goes on.
_GIVING_UP_SECONDS = 1.0


class LeftOut:
    """Of one worker; used by its consumer's thread, and by its timer's."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        #: Tasks of which messages wait, and since when this process has known of it.
        self._since: dict[str, float] = {}
        self._returns: dict[str, int] = {}

    def meet(self, row: str, name: str, known: Sequence[str]) -> bool:
        """A message came whose task is not among the known; False: it came too often, and is to be given up.

        `row` is the message's own, the same at each delivery.
        """
        self._deliveries.claims.choice = choosing.of_tasks(known)
        self._tell(name)
        if len(self._returns) >= _MOST_REMEMBERED:
            self._returns.clear()
        self._returns[row] = self._returns.get(row, 0) + 1
        return self._returns[row] <= _MOST_RETURNS

    def look(self, queues: Sequence[str], known: Sequence[str]) -> None:
        """See what still waits, and give up what has waited for too long."""
        if self._deliveries.claims.choice is None or not queues or not known:
            return
        try:
            self._look(queues, known)
        except (BrokerConnectionLost, BrokerRefused) as error:
            logger.debug("Messages of unknown tasks are looked at the next time: %s", error)

    def _look(self, queues: Sequence[str], known: Sequence[str]) -> None:
        find = partial(choosing.other_tasks, queues=queues, names=known)
        found = self._deliveries.session.run(lambda connection, _: find(connection), atomic=False)
        for gone in self._since.keys() - set(found):
            del self._since[gone]
        if not found:
            self._deliveries.claims.choice = None
            self._returns.clear()
            return
        # Also when it has learnt more meanwhile.
        self._deliveries.claims.choice = choosing.of_tasks(known)
        for name in found:
            self._tell(name)
        self._give_up(queues)

    def _give_up(self, queues: Sequence[str]) -> None:
        seconds = options().unknown_task_seconds
        began = time.monotonic() - seconds
        # Both: a message may wait behind others for long before anybody finds that its task is unknown.
        names = [name for name, since in self._since.items() if since <= began]
        now = self._deliveries.claims.clock.now() if names else None
        if now is not None:
            choice = choosing.overdue(names, now - clock.seconds(seconds))
            reason = f"{UNKNOWN_TASK} for {seconds:g} s"
            ends_at = time.monotonic() + _GIVING_UP_SECONDS
            while self._deliveries.claims.give_up_chosen(queues, choice, reason):
                self._deliveries.flush_if_decided()
                if time.monotonic() >= ends_at:
                    break

    def _tell(self, name: str) -> None:
        if name not in self._since:
            self._since[name] = time.monotonic()
            logger.warning(
                "This worker does not know the task %s: its messages are left to workers that do. "
                "One that none of them takes within %g s becomes a dead letter.",
                name,
                options().unknown_task_seconds,
            )
