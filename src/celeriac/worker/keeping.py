"""Dead letters of RabbitMQ and Redis: written into the database first, acknowledged behind that.

These brokers have no place where people could look, and what is rejected there is gone. A message whose
letter cannot be written stays unacknowledged, so that the broker gives it to the next worker.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections, transaction

from celeriac.broker import clock, letter
from celeriac.dead_letters import shown_by
from celeriac.models import NAME_LENGTH, DeadLetter
from celeriac.results import writer
from celeriac.results.pending import results_alias
from celeriac.results.tables import storable
from celeriac.worker import fitness, poison

logger = logging.getLogger(__name__)

#: `deliveries` is a small integer.
_MOST_DELIVERIES = 2**15 - 1


def keep(
    consumer: Any, message: Any, text: str, reason: str, tell: Callable[[], object], *, deliveries: int = 1
) -> None:
    """Write the letter, let `tell` say what follows, and acknowledge the message behind both.

    `text` is the message's own, as its row would have it.
    """
    if not _has_database():
        # Celery's own way is all that is left.
        logger.error("A message is deleted, as the project has no database to keep it: %s.", reason)
        message.reject_log_error(logger, consumer.connection_errors)
        return
    row = _letter_of(consumer, message, text, reason, deliveries)
    name = row.task_id or row.queue
    logger.error("Message %s is a dead letter: %s. See: %s", name, reason, shown_by(row.task_id))
    errors = (*consumer.connection_errors, *consumer.channel_errors)
    settle = partial(consumer.call_soon, message.ack_log_error, logger, errors)
    running = writer.running()
    do: Callable[[Callable[[], object]], object] = _now if running is None else running.submit
    written: list[bool] = []
    # In this order, and each again for as long as the database is away.
    do(partial(_write, row, written, is_first=not poison.is_back(message)))
    tell()
    do(partial(_settle, settle, written))


def _now(work: Callable[[], object]) -> None:
    work()


def _settle(settle: Callable[[], object], written: list[bool]) -> None:
    if written:
        settle()


def _letter_of(consumer: Any, message: Any, text: str, reason: str, deliveries: int) -> DeadLetter:
    return DeadLetter(
        queue=storable(letter.queue_of(message, consumer.task_consumer), NAME_LENGTH),
        task_id=fitness.task_id_of(message),
        task_name=fitness.task_name_of(message),
        payload=text,
        deliveries=min(deliveries, _MOST_DELIVERIES),
        reason=reason,
        died_at=clock.now(),
    )


def _write(row: DeadLetter, written: list[bool], *, is_first: bool) -> None:
    """Safe to do again, also for a message whose ack was lost."""
    alias = results_alias()
    with transaction.atomic(using=alias):
        same = DeadLetter.objects.using(alias).filter(task_id=row.task_id, payload=row.payload)
        # Without an id nobody knows whether it is one message or two.
        if is_first or row.task_id is None or not same.exists():
            row.pk = None
            row.save(using=alias, force_insert=True)
    written.append(True)


def _has_database() -> bool:
    return connections[results_alias()].vendor != "unknown"
