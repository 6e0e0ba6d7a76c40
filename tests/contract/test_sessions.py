"""Our own connections: what their errors are, and what they need of the settings."""

from contextlib import closing

import pytest
from django.db import Error, OperationalError, connections

from celeriac.broker.errors import BrokerConnectionLost
from celeriac.broker.session import BrokerSession
from celeriac.database import failures
from celeriac.database.session import Session
from tests.broker import unreachable


def test_a_database_that_refuses_the_connection_raises_an_error_of_djangos(alias):
    with unreachable(alias) as name, closing(Session(name)) as refused:
        with pytest.raises(Error) as caught:
            refused.run(lambda _: None)

        assert failures.is_lost(caught.value)


def test_a_broker_that_refuses_the_connection_is_a_lost_one(alias):
    with unreachable(alias) as name, closing(BrokerSession(name)) as refused:
        with pytest.raises(BrokerConnectionLost):
            refused.run(lambda *_: None)
        with pytest.raises(BrokerConnectionLost):
            refused.connection()


def test_a_connection_that_cannot_be_tuned_is_not_used(alias, monkeypatch):
    def fail(_):
        raise OperationalError("on purpose")

    with closing(Session(alias)) as made:
        monkeypatch.setattr("celeriac.database.transactions.tune", fail)
        with pytest.raises(OperationalError, match="on purpose"):
            made.connection()
        tuned = []
        monkeypatch.setattr("celeriac.database.transactions.tune", tuned.append)

        assert tuned == [made.connection()]


def test_our_own_transactions_are_ours_where_the_project_commits_by_hand(alias, monkeypatch):
    monkeypatch.setitem(connections.settings[alias], "AUTOCOMMIT", False)

    with closing(Session(alias)) as made:
        made.run(lambda _: None)

        assert made.connection().get_autocommit()
