"""Publishing later to a broker that is no database: serialized at once, sent at the end of the block."""

from itertools import groupby
from operator import itemgetter
from typing import Any

from celeriac.broker.confirming import confirming
from celeriac.broker.explaining import explained


class Held:
    """Messages that wait, in the order of the calls."""

    def __init__(self) -> None:
        self._calls: list[tuple[Any, str, tuple[Any, ...]]] = []
        #: How many of them the broker has.
        self.sent = 0

    def __len__(self) -> int:
        return len(self._calls)

    def producer(self, app: Any, task_name: str, real: Any) -> Any:
        """A producer like the real one, that keeps what is ready to be sent."""

        def hold(*message: Any) -> None:
            self._calls.append((app, task_name, message))

        # Not `copy`: kombu's own way of copying leaves the connection out.
        holding = object.__new__(type(real))
        vars(holding).update(vars(real))
        # kombu's seam between "serialized" and "sent", the same from 5.5 to 5.7.
        holding._publish = hold
        return holding

    def send(self) -> None:
        """Send all over one connection; raises OperationalError that names the task that was not sent."""
        for app, calls in groupby(self._calls, key=itemgetter(0)):
            with app.producer_or_acquire() as producer:
                for _, task_name, message in calls:
                    _send(producer, task_name, message)
                    self.sent += 1


def _send(producer: Any, task_name: str, message: tuple[Any, ...]) -> None:
    *_, is_retried, policy = message
    with (
        explained(task_name, producer),
        producer.connection._reraise_as_library_errors(),
        confirming(producer),
    ):
        publish = producer._publish
        if is_retried:
            publish = producer.connection.ensure(producer, publish, **policy)
        publish(*message)
