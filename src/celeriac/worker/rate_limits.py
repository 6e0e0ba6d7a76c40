"""Tells the broker whether the worker may hold tasks that no free slot may begin with, for a rate limit."""

from typing import Any

from celery import bootsteps
from celery.worker.consumer.connection import Connection

from celeriac.broker.transport import Transport


class RateLimits(bootsteps.StartStopStep):
    """A step of the worker's consumer, started anew with each of its connections."""

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        """From here on answer for this consumer."""
        transport = consumer.connection.transport
        if isinstance(transport, Transport):
            transport.deliveries.are_limited = lambda: any(list(consumer.task_buckets.values()))
