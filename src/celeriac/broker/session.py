"""A session that speaks the broker's statements and raises the errors that Celery's consumer knows."""

from collections.abc import Callable
from typing import TypeVar

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker.errors import BrokerConnectionLost, BrokerRefused
from celeriac.broker.queries import base, queries_for
from celeriac.database import failures
from celeriac.database.session import Session

T = TypeVar("T")
Work = Callable[[BaseDatabaseWrapper, base.Queries], T]


class BrokerSession:
    """One connection for the consuming side; its owner calls close()."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._session = Session(alias)

    def run(self, work: Work[T], *, atomic: bool = True) -> T:
        """Do `work`, in a transaction of its own when `atomic`; again while the database is busy.

        Raises BrokerConnectionLost when the database is away, BrokerRefused for any other error.
        """
        try:
            return self._session.run(
                lambda connection: work(connection, queries_for(connection)), atomic=atomic
            )
        except Error as error:
            text = f"The broker's database {self.alias!r}: {failures.first_line(error)}"
            raise (BrokerConnectionLost if failures.is_lost(error) else BrokerRefused)(text) from error

    def connection(self) -> BaseDatabaseWrapper:
        """The open connection. Raises BrokerConnectionLost."""
        try:
            return self._session.connection()
        except Error as error:
            raise BrokerConnectionLost(
                f"The broker's database {self.alias!r}: {failures.first_line(error)}"
            ) from error

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        self._session.close()
