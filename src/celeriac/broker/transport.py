"""The kombu transport behind `django://` and `django://ALIAS`."""

import time
from typing import Any

from amqp.exceptions import ChannelError
from django.db import DatabaseError, connections
from kombu.transport import virtual

from celeriac.broker.address import SCHEME, alias_in
from celeriac.broker.channel import Channel
from celeriac.broker.deliveries import deliveries_for
from celeriac.broker.due import Due
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.hub import HubLink
from celeriac.broker.store import store_for
from celeriac.database import failures

#: Without an event loop: first look again after this, then ever later, up to the longest.
_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.1
_RENEW_SECONDS = 3.0


class Transport(virtual.Transport):
    """One per kombu connection; the tables are shared by all."""

    Channel = Channel
    driver_type = "django"
    driver_name = "celeriac"
    can_parse_url = True
    default_port = None
    polling_interval = None

    connection_errors = (BrokerConnectionLost,)
    recoverable_connection_errors = (BrokerConnectionLost,)
    channel_errors = (BrokerRefused, ChannelError)
    recoverable_channel_errors = ()

    implements = virtual.Transport.implements.extend(
        asynchronous=True,
        exchange_type=frozenset(["direct", "topic", "fanout"]),
        heartbeats=False,
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.alias = alias_in(str(client.hostname or SCHEME)) or "default"
        self.store = store_for(self.alias)
        self.deliveries = deliveries_for(self.alias)
        #: The vanishing queues that this connection declared.
        self.transient: dict[str, Any] = {}
        self._hub_link: HubLink | None = None
        self._renewed_at = time.monotonic()

    def driver_version(self) -> str:
        from celeriac import __version__

        return __version__

    def establish_connection(self) -> Any:
        """Reach the database, then open the first channel. Raises BrokerConnectionLost."""
        connection = connections[self.alias]
        try:
            connection.ensure_connection()
        except DatabaseError as error:
            raise BrokerConnectionLost(
                f"The broker's database {self.alias!r} cannot be reached: {failures.first_line(error)}. "
                "Start it, or correct DATABASES."
            ) from error
        return super().establish_connection()

    def verify_connection(self, connection: Any) -> bool:
        return True

    def close_connection(self, connection: Any) -> None:
        """Leave the loop, then close the channels; what they hold is given back."""
        if self._hub_link is not None:
            self._hub_link.close()
            self._hub_link = None
        super().close_connection(connection)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Deliver from the worker's loop from now on; a second registration replaces the first."""
        if self._hub_link is not None:
            self._hub_link.close()
        self._hub_link = HubLink(self, loop)
        self._hub_link.open()

    def on_consume(self) -> None:
        """A channel consumes from one more queue: it may have messages already."""
        if self._hub_link is not None:
            self._hub_link.on_consume()

    def poll(self, queue: str | None = None, *, is_lasting: bool = False) -> int:
        """Deliver what may be delivered, to the consumers of `queue` or to all, and write the acks.

        How many messages were delivered. `is_lasting`: leave out channels of transient queues alone, but for
        those that had more.
        """
        # A channel that has no room any more will not claim, and so not take back what its last claim said.
        self.deliveries.claims.is_cut_short = False
        delivered = self._poll_channels(queue, is_lasting=is_lasting)
        # A claim writes the acks with it; these are for when there was no room for a claim.
        self.deliveries.flush()
        return delivered

    def on_cancel(self) -> None:
        """A channel consumes from one queue less."""
        if self._hub_link is not None:
            self._hub_link.on_cancel()

    def left_more(self) -> bool:
        """Whether the last look took as much as there was room for, or was cut short."""
        return self.deliveries.claims.is_cut_short or any(channel.left_more for channel in self.channels)

    def is_worth_a_look(self) -> bool:
        """Whether a channel has room for so many messages that a look for them pays."""
        return any(each.is_worth_a_look() for each in self.channels if not self._is_transient(each))

    def queues(self) -> set[str]:
        """The queues that the channels consume from."""
        return {queue for each in self.channels for queue in each._active_queues}

    def queues_to_hear_of(self) -> set[str]:
        """The queues of the channels that would take another message, and of which none is at hand."""
        found = {queue for each in self.channels if each.has_room() for queue in each._active_queues}
        return found & self.transient.keys() if self.deliveries.has_backlog() else found

    def promote_due(self) -> Due:
        """Make due messages ready; how many, and when the next one is due."""
        lasting = self.queues() - self.transient.keys()
        return self.deliveries.promote_due(list(lasting)) if lasting else Due(0, None)

    def renew_bindings(self) -> None:
        """Keep the transient queues of this connection alive."""
        for channel in list(self.channels):
            channel.renew_bindings()

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver at least one message, or raise socket.timeout after `timeout` seconds."""
        started = time.monotonic()
        pause = _SHORTEST_PAUSE
        while True:
            self._renew_in_time()
            self.promote_due()
            if self._poll_channels():
                return
            now = time.monotonic()
            if timeout is not None and now - started >= timeout:
                raise TimeoutError
            left = pause if timeout is None else min(pause, started + timeout - now)
            # Whoever drains without a loop has no bell: looks, at first often.
            time.sleep(max(0.0, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL holds an alias and nothing secret."""
        return f"django://{'' if self.alias == 'default' else self.alias}"

    def _renew_in_time(self) -> None:
        # Over all calls: events may come so often that no single call lasts as long.
        if time.monotonic() - self._renewed_at >= _RENEW_SECONDS:
            self._renewed_at = time.monotonic()
            self.renew_bindings()

    def _poll_channels(self, queue: str | None = None, *, is_lasting: bool = False) -> int:
        wanted = [each for each in self.channels if queue is None or queue in each._active_queues]
        if is_lasting:
            wanted = [each for each in wanted if each.left_more or not self._is_transient(each)]
        return sum(channel.poll() for channel in wanted)

    def _is_transient(self, channel: Any) -> bool:
        return all(queue in self.transient for queue in channel._active_queues)
