"""A place: what every kind of it can do."""

from abc import ABC, abstractmethod
from pathlib import Path

from tests import servers


class Unreachable(Exception):
    """The server does not answer or lets us make nothing; the text says what to do."""


class Place(ABC):
    """A database, a database of Redis or a virtual host, for one contestant alone."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory

    @abstractmethod
    def make(self) -> None:
        """Make it. Raises Unreachable."""

    @abstractmethod
    def empty(self) -> None:
        """Leave it as it was when the project was ready; nothing runs meanwhile."""

    @abstractmethod
    def drop(self) -> None:
        """Give it back."""

    @property
    def url(self) -> str:
        """Of a broker or of Redis as a place of results."""
        raise NotImplementedError

    def database(self) -> dict[str, object] | None:
        """The entry in DATABASES; None where it is none."""
        return None

    def remember(self) -> None:  # noqa: B027 - most places are emptied without
        """The project is ready: this is what `empty` goes back to."""

    def bytes_used(self) -> int | None:
        """How much the tables take; None where nobody can say it for this place alone."""
        return None


def server(name: str) -> servers.Server:
    """The server, which answers. Raises Unreachable."""
    reason = servers.reason_unreachable(name)
    if reason is not None:
        raise Unreachable(reason)
    return servers.SERVERS[name]
