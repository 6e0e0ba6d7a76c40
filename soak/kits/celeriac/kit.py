"""Speaks for Celeriac, on every broker."""

import random
from collections.abc import Sequence
from typing import Any

import book
from celery import chain, chord, states
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import Count
from tasks import body, link, newcomer, poison, witness, work

#: Ids that once had SUCCESS, which they must keep.
_succeeded: set[str] = set()
_regressed: set[str] = set()


def single(
    numbers: Sequence[int], seconds: Sequence[float], _: random.Random, queue: str = "celery"
) -> list[str]:
    """A task by itself."""
    if queue != "celery":
        return [work.apply_async((numbers[0], seconds[0]), queue=queue).id]
    return [work.delay(numbers[0], seconds[0]).id]


def parts_and_body(
    numbers: Sequence[int], seconds: Sequence[float], rng: random.Random, twice: float = 0.0
) -> list[str]:
    """A chord; the last number is its body's. This share of its parts is delivered twice."""
    header = [work.s(*each) for each in zip(numbers[:-1], seconds, strict=False)]
    with transaction.atomic():
        result = chord(header)(body.s(numbers[-1]))
        parts = [part.id for part in result.parent.results]
        for task_id in parts:
            if rng.random() < twice:
                _double(task_id)
    return [*parts, result.id]


def links(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A chain."""
    result = chain(link.s(-1, numbers[0], seconds[0]), *map(link.s, numbers[1:], seconds[1:]))()
    ids = []
    while result is not None:
        ids.append(result.id)
        result = result.parent
    return ids[::-1]


def mixed(numbers: Sequence[int], seconds: Sequence[float], rng: random.Random, every: int) -> list[str]:
    """A task by itself; each so manieth ends whoever runs it."""
    if numbers[0] % every:
        return single(numbers, seconds, rng)
    return [poison.delay(numbers[0], rng.choice(("exit", "segfault"))).id]


def new_one(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A task that the old release does not know."""
    return [newcomer.delay(numbers[0], seconds[0]).id]


def in_transaction(numbers: Sequence[int], seconds: Sequence[float], _: random.Random) -> list[str]:
    """A row and its task, of which every second is rolled back."""
    with transaction.atomic():
        Group.objects.create(name=str(numbers[0]))
        task_id = witness.delay(numbers[0], seconds[0]).id
        if is_rolled_back := bool(numbers[0] % 2):
            transaction.set_rollback(True)
    return [] if is_rolled_back else [task_id]


def committed() -> list[int]:
    """The numbers whose transactions were committed, as the database has it."""
    return [int(name) for name in Group.objects.values_list("name", flat=True)]


def left() -> dict[str, int]:
    """What has not ended: messages, results, chords, by what they are."""
    from django_celery_results.models import TaskResult

    from celeriac.models import Chord, Message
    from celeriac.models.messages import MessageState
    from celeriac.models.outbox import Outbox

    rows = Message.objects.values_list("state").annotate(count=Count("id"))
    waiting = {f"{MessageState(state).label.lower()} messages": count for state, count in rows}
    unended = TaskResult.objects.exclude(status__in=states.READY_STATES).count()
    unsent = Chord.objects.filter(is_sent=False).count()
    found = {**waiting, "tasks without an end": unended, "chords": unsent}
    found["messages in the outbox"] = Outbox.objects.count()
    return {what: count for what, count in found.items() if count}


def results() -> dict[str, int]:
    """How many tasks have each state."""
    from django_celery_results.models import TaskResult

    return dict(TaskResult.objects.values_list("status").annotate(count=Count("id")))


def regressed() -> int:
    """How many results were once SUCCESS and are not now, at any look so far."""
    from django_celery_results.models import TaskResult

    now = set(TaskResult.objects.filter(status=states.SUCCESS).values_list("task_id", flat=True))
    _regressed.update(_succeeded - now)
    _succeeded.update(now)
    return len(_regressed)


def dead_letters() -> list[str]:
    """Why messages were given up."""
    from celeriac.models import DeadLetter

    return [f"{letter.task_id}: {letter.reason}" for letter in DeadLetter.objects.all()]


def revoke(task_ids: list[str]) -> None:
    """Revoke these tasks."""
    from celeriac.app import get_app

    get_app().control.revoke(task_ids)


def pause(queue: str) -> None:
    """Nobody takes from the queue from now on."""
    import celeriac.control

    celeriac.control.pause(queue)


def resume(queue: str) -> None:
    """The queue goes on."""
    import celeriac.control

    celeriac.control.resume(queue)


def ticks(name: str) -> list[list[Any]]:
    """The ticks of an entry of the schedule: due time and firing in microseconds, and the task's id."""
    from celeriac.models import Tick

    found = Tick.objects.filter(name=name).order_by("due")
    return [list(row) for row in found.values_list("due", "fired_at", "task_id")]


def pause_schedule(names: list[str]) -> None:
    """These entries fire no more."""
    from celeriac.models import ScheduleOrder

    for name in names:
        ScheduleOrder.objects.create(name=name, is_paused=True)


def is_sound() -> bool:
    """Whether the database itself finds no fault with its file; only SQLite is asked."""
    if connection.vendor != "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        return bool(cursor.fetchall() == [("ok",)])


def _double(task_id: str) -> None:
    from celeriac.models import Message

    copy: Any = Message.objects.get(task_id=task_id)
    copy.pk = None
    copy.save()
    book.write("doubled", [task_id])
