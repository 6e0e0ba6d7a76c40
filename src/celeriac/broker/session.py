"""A session that speaks the broker's statements and raises the errors that Celery's consumer knows."""

from collections.abc import Callable
from typing import TypeVar

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker.errors import BrokerBusy, BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import base, queries_for
from celeriac.database import failures
from celeriac.database.busy import PATIENCE_SECONDS
from celeriac.database.session import Session

T = TypeVar("T")
Work = Callable[[BaseDatabaseWrapper, base.Queries], T]


class BrokerSession:
    """One connection for the consuming side; its owner calls close()."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._session = Session(alias)
        self._patience_seconds = PATIENCE_SECONDS

    def hurry(self, patience_seconds: float = 0.0) -> None:
        """From now on somebody waits who has no time, as an event loop: a busy database is an error soon."""
        self._patience_seconds = patience_seconds

    def take_time(self) -> None:
        """Nobody like that waits any more."""
        self._patience_seconds = PATIENCE_SECONDS

    def run(self, work: Work[T], *, atomic: bool = True) -> T:
        """Do `work`, in a transaction of its own when `atomic`; again while the database is busy.

        Raises BrokerConnectionLost when the database is away, BrokerBusy when it stays busy, BrokerRefused
        for any other error.
        """
        try:
            return self._session.run(
                lambda connection: work(connection, queries_for(connection)),
                atomic=atomic,
                patience_seconds=self._patience_seconds,
            )
        except Error as error:
            raise self._explained(error) from error

    def connection(self) -> BaseDatabaseWrapper:
        """The open connection. Raises BrokerConnectionLost."""
        try:
            return self._session.connection()
        except Error as error:
            raise BrokerConnectionLost(self._text(error)) from error

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        self._session.close()

    def _explained(self, error: Error) -> Exception:
        if failures.is_lost(error):
            return BrokerConnectionLost(self._text(error))
        return (BrokerBusy if failures.is_busy(error) else BrokerRefused)(self._text(error))

    def _text(self, error: Error) -> str:
        return f"The broker's database {self.alias!r}: {failures.first_line(error)}"
