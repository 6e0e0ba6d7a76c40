"""A cap on deliveries for RabbitMQ and Redis, which hand out a task that kills its worker again and again.

A message that comes back has had a run that did not end, or was only waiting in a worker that ended. How many
runs have begun is in the task's record; those that ended in a retry do not count, nor those before the task
was sent again by hand. Only messages that come back are asked about, by the worker's writer, for its loop
must not wait for a database.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import Error

from celeriac.conf import options
from celeriac.database.failures import is_passing
from celeriac.dead_letters import NEVER_FINISHED
from celeriac.models import TaskRecord
from celeriac.results import writer
from celeriac.results.pending import results_alias
from celeriac.worker import fitness, flushing

#: Gives up: (message, reason, deliveries).
GiveUp = Callable[[Any, str, int], object]


def is_back(message: Any) -> bool:
    """Whether the broker says that it has delivered it before."""
    route = message.delivery_info
    return isinstance(route, dict) and bool(route.get("redelivered"))


def judge(consumer: Any, message: Any, run: Callable[[Any], object], give_up: GiveUp) -> None:
    """Run it, in the consumer's own thread, unless too many of its runs have not ended."""
    flusher, running, task_id = flushing.of_external_broker(), writer.running(), fitness.task_id_of(message)
    if flusher is None or running is None or task_id is None:
        run(message)
        return
    decide = partial(not_ended, task_id, message)

    def ask() -> None:
        go_on = partial(_go_on, consumer, consumer.connection, run, give_up, message)
        running.submit(lambda: consumer.call_soon(partial(go_on, decide())))

    # What has begun by now is counted then.
    flusher.after_commit(ask)


def not_ended(task_id: str, message: Any) -> int:
    """How many runs of a task have begun since it was sent, and have not ended. Raises what is passing."""
    try:
        begun = _begun(task_id)
    except Error as error:
        if is_passing(error):
            raise
        begun = 0
    retries = message.headers.get("retries") if isinstance(message.headers, dict) else 0
    return begun - (retries if isinstance(retries, int) else 0)


def _begun(task_id: str) -> int:
    records = TaskRecord.objects.using(results_alias()).filter(task_id=task_id)
    return records.values_list("attempts", flat=True).first() or 0


def _go_on(
    consumer: Any, connection: Any, run: Callable[[Any], object], give_up: GiveUp, message: Any, begun: int
) -> None:
    if consumer.connection is not connection:
        return  # The broker has it back already.
    if begun >= options().max_deliveries:
        give_up(message, f"{NEVER_FINISHED}{begun} times and never finished", begun)
    else:
        run(message)
