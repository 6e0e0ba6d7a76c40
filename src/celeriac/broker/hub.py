"""The transport's place in a worker's event loop: what wakes it, and what happens then."""

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from celeriac.broker import caller, presence
from celeriac.broker.errors import BrokerConnectionLost
from celeriac.broker.outage import Outage
from celeriac.broker.wakeup import bells, doorbell, other_threads
from celeriac.broker.wakeup.ears import Ears
from celeriac.broker.wakeup.listen import Listener
from celeriac.broker.wakeup.self_pipe import SelfPipe
from celeriac.conf import options

if TYPE_CHECKING:
    from celeriac.broker.transport import Transport

logger = logging.getLogger(__name__)

#: A host without a doorbell and a server without LISTEN: look this often instead.
_BARE_POLL_SECONDS = 0.1
#: The look for due messages waits for so long after the last one and after a delivery: the task goes first.
_PROMOTE_AFTER_SECONDS = 0.02
#: The same while other messages are at hand: what becomes due stands behind those.
_PROMOTE_BEHIND_SECONDS = 0.2
#: Transient queues of this worker are renewed this often; remote control's own expire after 10 s.
_RENEW_SECONDS = 3.0


class HubLink:
    """Registered once per connection; the transport closes it before the next one."""

    def __init__(self, transport: "Transport", loop: Any) -> None:
        self._transport = transport
        self._loop = loop
        self._alias = transport.alias
        self._outage = Outage(transport.alias, lambda seconds: loop.call_later(seconds, self.nudge))
        self._poll = self._outage.guard(self._claim_and_deliver)
        self._poll_after_nudge = self._outage.guard(self._claim_after_nudge)
        self._ask_for_due = self._outage.guard(self._promote_due)
        self._timers: list[Any] = []
        self._due_timer: Any = None
        self._promote_timer: Any = None
        self._promoted_at = -math.inf
        self._is_nudged = self._is_lost = False
        #: Whether the next nudge is about the transient queues too, whose bells are heard otherwise.
        self._looks_everywhere = True
        self._pipe: SelfPipe | None = None
        self._ears = Ears(self._alias, loop, self._on_bell)
        self._listener: Listener | None = None

    def open(self) -> None:
        """Watch the bells, start the slow poll, and take what is waiting already."""
        self._pipe = SelfPipe(self._loop, self._on_nudge)
        doorbell.sweep(self._alias)
        self._attend()
        if connections[self._alias].vendor == "postgresql":
            self._listener = Listener(self._alias, self._on_far_ring)
            self._listener.listen_for_host()
        caller.use_session_in_loop(self._transport.deliveries.session)
        self._transport.deliveries.nudge = self.nudge
        self._transport.deliveries.is_worth_a_look = self._transport.is_worth_a_look
        other_threads.wake_from(self._loop, self.nudge)
        presence.presence_for(self._alias).when_held_for_lost = self._on_loss
        self._every(self._poll_seconds(), self._on_tick)
        self._every(_RENEW_SECONDS, self._outage.guard(self._transport.renew_bindings))
        self.nudge()

    def nudge(self) -> None:
        """Run the loop soon; from any thread, cheap when it is about to run anyway."""
        if not self._is_nudged and self._pipe is not None:
            self._is_nudged = True
            self._pipe.wake()

    def _on_loss(self) -> None:
        """In the presence's thread: what the pool has not begun must not run here too."""
        self._is_lost = True
        self.nudge()

    def on_consume(self) -> None:
        """There is a new consumer, whose queue may have messages already."""
        self._looks_everywhere = True
        self.nudge()

    def on_cancel(self) -> None:
        """A consumer was cancelled: what it heard of is for others from now on."""
        idle = self._ears.attended()
        self._attend()
        self._pass_on(idle)

    def close(self) -> None:
        """Take everything out of the loop; may be called twice."""
        self._transport.deliveries.nudge = self._transport.deliveries.is_worth_a_look = None
        presence.stop_telling(self._alias, self._on_loss)
        caller.use_session_in_loop(None)
        self._transport.deliveries.session.take_time()
        self._cancel(*self._timers, self._due_timer, self._promote_timer)
        self._timers, self._due_timer, self._promote_timer = [], None, None
        self._leave(self._ears.attended())
        if self._listener is not None:
            self._listener.close()
        if self._pipe is not None:
            self._pipe.close()

    def _poll_seconds(self) -> float:
        wakes = self._ears.are_good or self._listener is not None
        return options().poll_seconds if wakes else min(_BARE_POLL_SECONDS, options().poll_seconds)

    def _attend(self) -> None:
        """Hear of the queues that there is room for; who has more than enough to do leaves it to others."""
        self._ears.attend(self._transport.queues_to_hear_of(), self._transport.transient)

    def _on_far_ring(self, queue: str) -> None:
        """On the listener's thread: another host has a message."""
        if not doorbell.ring(self._alias, queue) and not self._ears.are_good and queue in self._ears.wanted:
            self.nudge()

    def _on_nudge(self) -> None:
        # Not before the pipe is read, which would take the byte of another thread that nudges in between: for
        # ever after there would be no byte, and everybody would rely on it.
        self._is_nudged = False
        # From now on: what a worker declares before its loop turns has the time to wait for a lock.
        self._transport.deliveries.session.hurry()
        if self._is_lost:
            self._is_lost = False
            raise BrokerConnectionLost("The worker begins anew; what it had not begun is with others.")
        if self._loop.consolidate:
            # Processes of the pool wait for their next tasks, which the loop writes at the end of this turn.
            self._loop.call_soon(self._poll_after_nudge)
        else:
            # Not in the next turn, in which acks of tasks that ran meanwhile (solo) would wait for an event.
            self._poll_after_nudge()

    def _on_bell(self, queue: str) -> None:
        self._outage.guard(lambda: self._claim_and_deliver(queue))()

    def _on_tick(self) -> None:
        if self._listener is not None:
            self._listener.listen_for_host()
        self._ears.renew()
        self._transport.deliveries.claims.give_back_stale()
        # Also when the worker is too busy to come to the end of the queue.
        self._promote()
        self._poll()

    def _claim_after_nudge(self) -> None:
        if self._pipe is None or not self._pipe.is_watched:
            return  # The loop has ended, and does what was left to its next turn.
        self._claim_and_deliver(is_lasting=not self._looks_everywhere)

    def _claim_and_deliver(self, queue: str | None = None, *, is_lasting: bool = False) -> None:
        self._looks_everywhere = self._looks_everywhere and is_lasting
        idle = self._ears.attended()
        # Before the claim: what is committed behind its back must find somebody who hears.
        self._attend()
        delivered = self._poll_channels(queue, idle, is_lasting=is_lasting)
        self._attend()
        self._ears.take_all = queue is not None and not delivered
        self._pass_on(idle if self._transport.left_more() else set())
        if self._transport.left_more():
            # Not at once: the loop first hands what was delivered to the pool.
            self.nudge()
        elif delivered or time.monotonic() - self._promoted_at < _PROMOTE_AFTER_SECONDS:
            is_busy = self._transport.deliveries.has_backlog()
            self._promote_later(_PROMOTE_BEHIND_SECONDS if is_busy else _PROMOTE_AFTER_SECONDS)
        else:
            self._promote_by(self._promote_due)

    def _poll_channels(self, queue: str | None, idle: set[str], *, is_lasting: bool) -> int:
        try:
            return self._transport.poll(queue, is_lasting=is_lasting)
        except Exception:
            # The ring that was ours, and all until this is over, are for others.
            self._leave(idle)
            raise

    def _leave(self, idle: set[str]) -> None:
        self._ears.close(self._transport.transient)
        self._pass_on(idle)

    def _pass_on(self, idle: set[str]) -> None:
        """Wake the next consumer of the queues that we heard of until now and hear of no more.

        Who had no room before has told the next one already, but for a ring that came meanwhile.
        """
        self._ring_others((idle | self._ears.unheard) - self._ears.attended())
        self._ears.unheard.clear()

    def _ring_others(self, queues: set[str]) -> None:
        if lasting := queues - self._transport.transient.keys():
            bells.pass_on(self._transport.deliveries.session, lasting)

    def _promote(self) -> None:
        self._promote_by(self._ask_for_due)

    def _promote_by(self, ask: Callable[[], None]) -> None:
        self._cancel(self._promote_timer)
        self._promote_timer = None
        if self._transport.deliveries.is_storing():
            self._promote_later(_PROMOTE_AFTER_SECONDS)
        else:
            ask()

    def _promote_due(self) -> None:
        self._promoted_at = time.monotonic()
        due = self._transport.promote_due()
        self._cancel(self._due_timer)
        self._due_timer = None
        if due.promoted:
            self._on_due()
        elif due.wait_seconds is not None and due.wait_seconds < self._poll_seconds():
            # 0: another worker is promoting it right now.
            self._due_timer = self._loop.call_later(max(0.001, due.wait_seconds), self._promote)

    def _on_due(self) -> None:
        """The others know by their own timers, but for those who did not look since it was published."""
        self._ring_others(self._transport.queues() - self._ears.attended())
        self.nudge()

    def _promote_later(self, seconds: float) -> None:
        if self._promote_timer is None:
            self._promote_timer = self._loop.call_later(seconds, self._promote)

    def _cancel(self, *timers: Any) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_repeatedly(seconds, action))
