"""The transport's place in a worker's event loop: what wakes it, and what happens then."""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import connections

from celeriac.broker import caller
from celeriac.broker.outage import Outage
from celeriac.broker.wakeup import bells, doorbell
from celeriac.broker.wakeup.listen import Listener
from celeriac.conf import options

if TYPE_CHECKING:
    from celeriac.broker.transport import Transport

logger = logging.getLogger(__name__)

#: A host without a doorbell and a server without LISTEN: look this often instead.
_BARE_POLL_SECONDS = 0.1
#: After a wake-up look again: rings closer together than NOTIFY_EVERY_SECONDS are left out.
_SECOND_LOOK_SECONDS = 3 * bells.NOTIFY_EVERY_SECONDS
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
        self._promote = self._outage.guard(self._promote_due)
        self._timers: list[Any] = []
        self._fds: list[int] = []
        self._due_timer: Any = None
        self._is_nudged = False
        self._self_pipe = os.pipe()
        self._bell: doorbell.Doorbell | None = None
        self._listener: Listener | None = None
        self._listening_fd: int | None = None

    def open(self) -> None:
        """Watch the bells, start the slow poll, and take what is waiting already."""
        for fd in self._self_pipe:
            os.set_blocking(fd, False)
        self._watch(self._self_pipe[0], self._on_nudge)
        self._install_bell()
        self._transport.deliveries.session.hurry()
        caller.use_session_in_loop(self._transport.deliveries.session)
        self._transport.deliveries.nudge = self.nudge
        self._wake_from_other_threads()
        self._every(self._poll_seconds(), self._on_tick)
        self._every(_RENEW_SECONDS, self._outage.guard(self._transport.renew_bindings))
        self.nudge()

    def nudge(self) -> None:
        """Run the loop soon; from any thread, cheap when it is about to run anyway."""
        if not self._is_nudged:
            self._is_nudged = True
            try:
                os.write(self._self_pipe[1], b"!")
            except OSError:
                pass  # Full, or closed at the end: there is a wake-up under way, or none needed.

    def close(self) -> None:
        """Take everything out of the loop; may be called twice."""
        self._transport.deliveries.nudge = None
        caller.use_session_in_loop(None)
        self._transport.deliveries.session.take_time()
        for timer in [*self._timers, self._due_timer]:
            if timer is not None:
                timer.cancel()
        self._timers, self._due_timer = [], None
        for fd in self._fds:
            self._unwatch(fd)
        self._fds = []
        if self._bell is not None:
            self._bell.close()
        if self._listener is not None:
            self._listener.close()
        for fd in self._self_pipe:
            if fd >= 0:
                os.close(fd)
        self._self_pipe = (-1, -1)

    def _poll_seconds(self) -> float:
        wakes = self._bell is not None or self._listener is not None
        return options().poll_seconds if wakes else min(_BARE_POLL_SECONDS, options().poll_seconds)

    def _install_bell(self) -> None:
        if connections[self._alias].vendor == "postgresql":
            self._listener = Listener(self._alias)
            self._listen()
        else:
            self._bell = doorbell.install(self._alias)
            if self._bell is not None:
                self._watch(self._bell.fileno(), self._on_bell)

    def _listen(self) -> None:
        assert self._listener is not None
        self._listening_fd = self._listener.open()
        if self._listening_fd is not None:
            self._watch(self._listening_fd, self._on_notify)

    def _on_nudge(self) -> None:
        self._is_nudged = False
        try:
            os.read(self._self_pipe[0], 4096)
        except BlockingIOError:
            pass
        self._poll()

    def _on_bell(self) -> None:
        assert self._bell is not None
        self._bell.silence()
        self._poll()

    def _on_notify(self) -> None:
        assert self._listener is not None
        if not self._listener.silence():
            # A dead socket stays readable: watched on, it would keep the loop busy.
            self._drop_listener()
        self._loop.call_later(_SECOND_LOOK_SECONDS, self.nudge)
        self._poll()

    def _drop_listener(self) -> None:
        if self._listening_fd is not None:
            self._unwatch(self._listening_fd)
            self._fds.remove(self._listening_fd)
            self._listening_fd = None
        if self._listener is not None:
            self._listener.close()

    def _on_tick(self) -> None:
        if self._listener is not None and self._listening_fd is None:
            self._listen()
        # Also when the worker is too busy to come to the end of the queue.
        self._promote()
        self._poll()

    def _claim_and_deliver(self) -> None:
        if self._transport.poll() or self._transport.deliveries.is_cut_short:
            # Not at once: the loop first hands what was delivered to the pool.
            self.nudge()
        else:
            self._promote_due()

    def _promote_due(self) -> None:
        due = self._transport.promote_due()
        if self._due_timer is not None:
            self._due_timer.cancel()
            self._due_timer = None
        if due.promoted:
            self.nudge()
        elif due.wait_seconds is not None and due.wait_seconds < self._poll_seconds():
            # 0: another worker is promoting it right now.
            self._due_timer = self._loop.call_later(max(0.001, due.wait_seconds), self.nudge)

    def _watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._loop.add_reader(fd, callback)
        self._fds.append(fd)

    def _unwatch(self, fd: int) -> None:
        try:
            self._loop.remove_reader(fd)
        except (KeyError, ValueError, OSError, AttributeError):
            pass  # The loop was reset after an error and has forgotten its readers already.

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_repeatedly(seconds, action))

    def _wake_from_other_threads(self) -> None:
        """kombu before 5.7: `call_soon` from a pool's thread waits until the loop wakes, up to 1 s."""
        if hasattr(self._loop, "_waker"):
            return
        original = type(self._loop).call_soon

        def call_soon(callback: Any, *args: Any) -> Any:
            entry = original(self._loop, callback, *args)
            self.nudge()
            return entry

        self._loop.call_soon = call_soon
