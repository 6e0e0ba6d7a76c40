"""Database servers of a test's own, to end them as a crash does; skipped where their programs are missing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.places import Unreachable
from soak import own_servers
from soak.own_servers import OwnServer
from tests.servers import do_without


@contextmanager
def own_server(vendor: str) -> Iterator[OwnServer]:
    """A server with an empty database, running."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(own_servers.own_server(vendor))
        except Unreachable as error:
            do_without(str(error))
        yield server
