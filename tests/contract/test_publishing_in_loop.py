"""What a worker's loop publishes while its database is away: refused once, and the loop goes on."""

import pytest

from celeriac.broker import caller
from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.session import BrokerSession
from celeriac.broker.store import Store
from tests.broker import connect, message, unreachable


def test_an_event_in_the_loop_is_refused_and_not_tried_for_ever(broker):
    with unreachable(broker) as alias:
        session = BrokerSession(alias)
        caller.use_session_in_loop(session)
        try:
            with pytest.raises(BrokerRefused) as raised:
                Store(alias).publish("events", message())
        finally:
            caller.use_session_in_loop(None)
            session.close()

        # kombu tries again, without an end, what its transport calls recoverable.
        assert not isinstance(raised.value, connect(alias).transport.recoverable_connection_errors)
        assert isinstance(raised.value.__cause__, BrokerConnectionLost)
