"""Replaying dead letters: each message goes back to its queue as it was, and its letter goes with it.

The text of a letter came from whoever published it: it is read as JSON, and nothing in it is unpacked.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery import Celery
from django.db import connections, transaction
from django.db.models import F, QuerySet

from celeriac.broker import address, caller, reading, resending
from celeriac.broker.payload import check_size
from celeriac.broker.refusal import MessageRefused
from celeriac.errors import CannotBeSentAgain
from celeriac.models import DeadLetter
from celeriac.publisher import batches
from celeriac.publisher.again import revive
from celeriac.publisher.batches import Progress, SentAgain
from celeriac.publisher.before import Before
from celeriac.publisher.delivering import Delivery, Item
from celeriac.publisher.kept import Kept, unexpired
from celeriac.publisher.verdicts import How, Judge, refuse_unaccepted
from celeriac.results import pending, reviving
from celeriac.results.retry import is_in_transaction

_NO_MESSAGE = "its text is no message of a task"


@dataclass(slots=True)
class Decided:
    """What becomes of a batch, by the keys of the letters."""

    sent: dict[int, tuple[DeadLetter, dict[str, Any]]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def replay(app: Celery, letter: DeadLetter | int, how: How) -> Any:
    """Send one letter's message; the result of its task, if it is a task's.

    Raises CannotBeSentAgain, or what the broker raises.
    """
    key = letter.pk if isinstance(letter, DeadLetter) else letter
    decided = _batch(app, _alias_of(app, letter), [key], how)
    if key in decided.refused:
        raise CannotBeSentAgain(f"Dead letter {key} is not sent again: {decided.refused[key]}.")
    task_id = decided.sent[key][0].task_id
    return app.AsyncResult(task_id) if task_id else None


def replay_many(
    app: Celery,
    letters: Iterable[DeadLetter | int] | QuerySet[DeadLetter],
    how: How,
    progress: Progress | None,
) -> SentAgain:
    """Send those of a filter, or of letters or their keys, a batch at a time."""
    total, alias = SentAgain(), _alias_of(app, letters)
    for batch in _batches(letters):
        decided = _batch(app, alias, batch, how)
        total.add(len(decided.sent), decided.refused.values(), progress)
    return total


def _batches(letters: Iterable[DeadLetter | int] | QuerySet[DeadLetter]) -> Iterator[list[int]]:
    if isinstance(letters, QuerySet):
        if letters.model is not DeadLetter:
            raise TypeError(f"Dead letters are found by DeadLetter, not by {letters.model.__name__}.")
        yield from batches.of_rows(letters, "id")
        return
    keys = (each.pk if isinstance(each, DeadLetter) else each for each in letters)
    yield from batches.of_ids(keys)


def _alias_of(app: Celery, letters: Any) -> str:
    """The database of the letters: their own, or the broker's."""
    if isinstance(letters, QuerySet):
        return str(letters.db)
    state = getattr(letters, "_state", None)
    return getattr(state, "db", None) or address.alias_of(app) or pending.results_alias()


def _batch(app: Celery, alias: str, keys: list[int], how: How) -> Decided:
    decided, results = Decided(), pending.results_alias()
    is_callers = is_in_transaction(connections[results])
    caller.in_transaction(alias, partial(_once, app, alias, keys, how, decided, is_callers))
    return decided


def _once(app: Celery, alias: str, keys: list[int], how: How, decided: Decided, is_callers: bool) -> None:
    # It may be the second try.
    decided.sent, decided.refused = {}, {}
    letters = DeadLetter.objects.using(alias).filter(pk__in=keys)
    # A write first, for SQLite; it also keeps others from sending the same.
    letters.update(deliveries=F("deliveries"))
    found = {each.pk: each for each in letters.order_by("pk")}
    results = pending.results_alias()
    with transaction.atomic(using=results, savepoint=False):
        task_ids = sorted({each.task_id for each in found.values() if each.task_id})
        reviving.lock(results, task_ids)
        ended = reviving.ends(results, task_ids)
        judge = Judge.of(app, results, task_ids, {key: row.status for key, row in ended.items()}, how)
        _decide(app, keys, found, judge, decided)
        messages = {key: _kept(*each) for key, each in decided.sent.items()}
        over = {key: each for key, each in messages.items() if each.task_id and judge.is_over(each.task_id)}
        before = Before.of(app, results, over)
        revive(app, results, over.values())
        delivery = _delivery(app, results, decided, before)
        delivery.is_callers = is_callers
        delivery.then = lambda sent: letters.filter(pk__in=sent).delete()
        delivery.deliver()


def _delivery(app: Celery, alias: str, decided: Decided, before: Before) -> Delivery:
    # To another broker the letter goes behind the message: who dies between them loses nothing.
    items = [
        Item(key, letter.task_name or "message", _sending(app, letter, raw))
        for key, (letter, raw) in decided.sent.items()
    ]
    return Delivery(app, alias, items, before)


def _decide(
    app: Celery, keys: list[int], found: dict[int, DeadLetter], judge: Judge, decided: Decided
) -> None:
    for key in keys:
        try:
            if key not in found:
                raise CannotBeSentAgain("it is gone: sent again by somebody else, or expired")
            raw = _raw(app, found[key])
            if found[key].task_id:
                judge.allow(found[key].task_id or "", is_dead=True)
            decided.sent[key] = found[key], raw
        except (CannotBeSentAgain, MessageRefused) as error:
            decided.refused[key] = str(error)


def _raw(app: Celery, letter: DeadLetter) -> dict[str, Any]:
    """The message as JSON says it. Raises CannotBeSentAgain for what no worker would take."""
    try:
        raw = json.loads(letter.payload)
        headers, properties = raw["headers"] or {}, raw["properties"]
        refuse_unaccepted(app, raw["content-type"])
        is_one = isinstance(headers, dict) and isinstance(properties, dict) and isinstance(raw["body"], str)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CannotBeSentAgain(_NO_MESSAGE) from error
    if not is_one:
        raise CannotBeSentAgain(_NO_MESSAGE)
    check_size(len(letter.payload), headers)
    return {**raw, "headers": unexpired(headers)}


def _kept(letter: DeadLetter, raw: dict[str, Any]) -> Kept:
    """What waits for its task, as far as it can be read: JSON alone, inflated within a bound."""
    try:
        body = reading.read(letter.payload, ["json"]).payload
    except Exception:  # noqa: BLE001 - that may be why it is a dead letter
        body = None
    return Kept(letter.task_id or "", body, raw["headers"], raw["properties"], {}, "")


def _sending(app: Celery, letter: DeadLetter, raw: dict[str, Any]) -> Any:
    broker_alias = address.alias_of(app)
    if broker_alias is None:
        return lambda producer: resending.to_other_broker(producer, app, letter.queue, raw)
    return lambda _: resending.to_database(broker_alias, letter.queue, raw)
