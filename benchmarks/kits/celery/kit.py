"""Speaks for Celeriac, on every broker."""

import time
from collections.abc import Sequence

from django.db import connection, transaction
from tasks import add

import celeriac

#: Of one claim: what a busy worker asks for, with the acks of the claim before.
CLAIMED_AT_ONCE = 64


def enqueue(number: int) -> None:
    """One task."""
    add.delay(number, 1)


def enqueue_many(numbers: Sequence[int]) -> None:
    """All of them in one transaction."""
    celeriac.publish_many([add.s(number, 1) for number in numbers])


def stored() -> int:
    """How many results can be read."""
    from django_celery_results.models import TaskResult

    return TaskResult.objects.filter(status="SUCCESS").count()


def claim(waiting: int, claims: int) -> list[float]:
    """Claim as a worker does, beside so many messages that are ready."""
    from celeriac.broker.deliveries import Deliveries, Held

    _fill(waiting)
    deliveries = Deliveries("default")
    seconds = []
    try:
        for _ in range(claims):
            begin = time.monotonic()
            claimed = deliveries.claim(["bench"], CLAIMED_AT_ONCE)
            seconds.append(time.monotonic() - begin)
            # As in the worker's loop: the acks are written with the next claim.
            deliveries.nudge = _nothing
            for each in claimed:
                tag = f"{each.id}-{each.token}"
                deliveries.hold(tag, Held((each.id, each.token), each.task_id, _nothing))
                deliveries.ack(tag)
    finally:
        deliveries.close()
    return seconds


def _nothing() -> None:
    pass


def _fill(waiting: int) -> None:
    from celeriac.broker import clock
    from celeriac.models import Message

    now = clock.now()
    rows = (
        Message(
            queue="bench",
            turn=number % 10,
            available_at=now,
            published_at=now,
            task_name="tasks.add",
            payload="x" * 800,
        )
        for number in range(waiting)
    )
    with transaction.atomic():
        Message.objects.bulk_create(rows, batch_size=2000)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE celeriac_message")
