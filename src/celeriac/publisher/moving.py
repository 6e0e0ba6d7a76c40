"""Messages that wait in a queue of the database go to another queue, in steps that nobody waits for."""

from collections.abc import Iterator

from django.db import transaction

from celeriac.broker.queries.base import STEP
from celeriac.broker.store import store_for
from celeriac.models import Message, MessageState, TaskRecord
from celeriac.results.pending import results_alias
from celeriac.results.retry import until_stored

_WAITING = (MessageState.DELAYED, MessageState.READY)


def move(alias: str, queue: str, to: str) -> Iterator[int]:
    """Yield how many at each step, which is a transaction; what workers have taken stays where it is."""
    waiting = Message.objects.using(alias).filter(queue=queue, state__in=_WAITING)
    # Index: celeriac_message_next.
    in_order = waiting.order_by("state", "turn", "id").values_list("pk", "task_id")
    while rows := dict(in_order[:STEP]):

        def step(rows: dict[int, str | None] = rows) -> int:
            with transaction.atomic(using=alias):
                moved = waiting.filter(pk__in=rows).update(queue=to)
                store_for(alias).wake_consumers([to])
            return moved

        yield until_stored(alias, step)
        ids = [task_id for task_id in rows.values() if task_id]
        TaskRecord.objects.using(results_alias()).filter(task_id__in=ids, queue=queue).update(queue=to)
