"""A consumer that leaves the queues that are paused, and comes back to them. What it has taken runs."""

import logging
from collections.abc import Set
from typing import Any

logger = logging.getLogger(__name__)

#: The queues that this worker has left because they are paused; its consumer may begin anew meanwhile.
_left: set[str] = set()


def obey(consumer: Any, paused: Set[str], *, is_looping: bool) -> None:
    """Take from no queue that is paused, and again from those that no longer are.

    In the consumer's own thread. Before its loop runs nothing may be consumed: nobody would take a message.
    """
    queues, tasks = consumer.app.amqp.queues, consumer.task_consumer
    taken = {queue.name for queue in tasks.queues}
    for name in sorted(paused & taken):
        # Before all that may fail: the next consumer comes back to it nevertheless.
        _left.add(name)
        taken.discard(name)
        # What it takes from, and no queue that a task has only sent to.
        queues.select(sorted(taken))
        if is_looping:
            consumer.cancel_task_queue(name)
        else:
            tasks.cancel_by_queue(name)
        logger.warning("Queue %s is paused: nothing is taken from it until `celery resume %s`.", name, name)
    for name in sorted(_left - paused):
        # Celery's own command forgets the queue with the next connection.
        queues.select([*queues.consume_from, name])
        if is_looping:
            consumer.add_task_queue(name)
        elif name not in taken:
            tasks.add_queue(queues[name])
        _left.discard(name)
        logger.warning("Queue %s is resumed.", name)
