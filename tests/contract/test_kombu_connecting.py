"""kombu's published behaviours of a transport, 1 to 9 of 30: connecting.

| n | kombu's class and test                          | test here |
|---|-------------------------------------------------|---|
| 1 | BasicFunctionality.connect                      | a_closed_connection_can_be_opened_again |
| 2 | BasicFunctionality.failed_connect               | what_needs_the_database_fails_without_it |
| 3 | BasicFunctionality.failed_connection            | what_needs_the_database_fails_without_it |
| 4 | BasicFunctionality.failed_channel               | what_needs_the_database_fails_without_it |
| 5 | BasicFunctionality.failed_default_channel       | the_default_channel_gives_up_after_its_retries |
| 6 | BasicFunctionality.default_channel_autoconnect  | the_default_channel_opens_a_closed_connection |
| 7 | BasicFunctionality.channel                      | a_channel_opens_the_connection |
| 8 | BasicFunctionality.default_channel              | the_default_channel_opens_the_connection_once |
| 9 | BasicFunctionality.autoretry_default_channel    | what_is_retried_gets_the_default_channel |
"""

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from celeriac.broker.errors import BrokerConnectionLost
from tests.broker import connect, unreachable


def test_a_closed_connection_can_be_opened_again(connection):
    for _ in range(2):
        opened = connection.connect()
        assert opened is connection.connection
        assert connection.connected

        connection.close()
        assert connection.connection is None


@pytest.mark.parametrize("use", [Connection.connect, lambda it: it.connection, Connection.channel])
def test_what_needs_the_database_fails_without_it(unreachable_connection, use):
    with pytest.raises(BrokerConnectionLost, match="'unreachable' cannot be reached"):
        use(unreachable_connection)


def test_the_failure_is_one_that_celery_reconnects_after(unreachable_connection):
    assert BrokerConnectionLost in unreachable_connection.connection_errors
    assert BrokerConnectionLost in unreachable_connection.recoverable_connection_errors


def test_the_default_channel_gives_up_after_its_retries(broker):
    with unreachable(broker) as alias:
        connection = connect(alias)
        connection.transport_options["max_retries"] = 1

        with pytest.raises(OperationalError, match="cannot be reached"):
            _ = connection.default_channel


def test_making_sure_of_a_connection_tries_as_often_as_asked(unreachable_connection):
    failures = []

    with pytest.raises(OperationalError):
        unreachable_connection.ensure_connection(
            errback=lambda error, _: failures.append(error),
            max_retries=3,
            interval_start=0,
            interval_step=0,
            interval_max=0,
        )

    assert [type(error) for error in failures] == [BrokerConnectionLost] * 3


def test_the_default_channel_opens_a_closed_connection(connection):
    connection.connect()
    connection.close()

    channel = connection.default_channel

    assert channel.connection.channels == [channel]
    assert connection.connected


def test_a_channel_opens_the_connection(connection):
    channel = connection.channel()

    assert connection.connected
    assert channel in connection.transport.channels


def test_the_default_channel_opens_the_connection_once(connection):
    channel = connection.default_channel

    assert connection.connected
    assert connection.default_channel is channel


def test_what_is_retried_gets_the_default_channel(connection):
    given = []

    def work(value, channel):
        given.append(channel)
        return value * 2

    result, channel = connection.autoretry(work, max_retries=0)(21)

    assert result == 42
    assert given == [channel] == [connection.default_channel]
    assert connection.connected
