"""Sending the exact message of a task again: under its own id, or as a task of its own.

Deciding, the rows and, on a database, the messages are one transaction: the caller's, or one for each batch.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery import Celery
from django.db import connections
from django.db.models import QuerySet
from django_celery_results.models import TaskResult

from celeriac.broker import accepting, caller
from celeriac.broker.refusal import MessageRefused
from celeriac.database.inserting import insert_all
from celeriac.errors import CannotBeSentAgain
from celeriac.models import TaskRecord
from celeriac.publisher import batches
from celeriac.publisher.batches import Progress, SentAgain
from celeriac.publisher.before import Before
from celeriac.publisher.delivering import Delivery, Item
from celeriac.publisher.kept import Kept
from celeriac.publisher.template import new_id
from celeriac.publisher.verdicts import How, Judge, refuse_unaccepted
from celeriac.results import pending, publishing, reviving
from celeriac.results.backend import DatabaseBackend
from celeriac.results.retry import is_in_transaction

_NOT_KEPT = "its message is not kept: JSON cannot hold its arguments, or its publisher rolled back"


@dataclass(slots=True)
class Decided:
    """What becomes of a batch."""

    #: By the id of the task that was asked for.
    sent: dict[str, Kept] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def retry(app: Celery, task_id: str, how: How) -> Any:
    """Send the message of one task again; its result. Raises CannotBeSentAgain, or what the broker raises."""
    decided = _batch(app, [task_id], how)
    if task_id in decided.refused:
        raise CannotBeSentAgain(f"Task {task_id} is not sent again: {decided.refused[task_id]}.")
    return app.AsyncResult(decided.sent[task_id].task_id)


def retry_many(
    app: Celery, tasks: Iterable[str] | QuerySet[Any], how: How, progress: Progress | None
) -> SentAgain:
    """Send those of ids, or of a filter of TaskRecord or TaskResult, a batch at a time."""
    total = SentAgain()
    for batch in _batches(tasks):
        decided = _batch(app, batch, how)
        total.add(len(decided.sent), decided.refused.values(), progress)
    return total


def _batches(tasks: Iterable[str] | QuerySet[Any]) -> Iterator[list[str]]:
    if not isinstance(tasks, QuerySet):
        return batches.of_ids(tasks)
    if tasks.model not in {TaskRecord, TaskResult}:
        raise TypeError(f"Tasks are found by TaskRecord or TaskResult, not by {tasks.model.__name__}.")
    return batches.of_rows(tasks, "task_id")


def _batch(app: Celery, task_ids: list[str], how: How) -> Decided:
    alias, decided = pending.results_alias(), Decided()
    is_callers = is_in_transaction(connections[alias])
    caller.in_transaction(alias, partial(_once, app, alias, task_ids, how, decided, is_callers))
    return decided


def _once(app: Celery, alias: str, task_ids: list[str], how: How, decided: Decided, is_callers: bool) -> None:
    # It may be the second try.
    decided.sent, decided.refused = {}, {}
    reviving.lock(alias, task_ids)
    ended = reviving.ends(alias, task_ids)
    judge = Judge.of(app, alias, task_ids, {task_id: row.status for task_id, row in ended.items()}, how)
    _decide(app, alias, task_ids, judge, decided)
    if how.as_new:
        decided.sent = {task_id: each.as_new(new_id()) for task_id, each in decided.sent.items()}
        _insert(app, alias, decided.sent)
    over = {} if how.as_new else {key: each for key, each in decided.sent.items() if judge.is_over(key)}
    before = Before.of(app, alias, over)
    if not how.as_new:
        revive(app, alias, over.values())
    items = [Item(each.task_id, each.name, partial(each.send, app)) for each in decided.sent.values()]
    Delivery(app, alias, items, before, is_callers=is_callers).deliver()


def revive(app: Celery, alias: str, messages: Collection[Kept]) -> None:
    """Put the rows of tasks back that did not succeed, with what waits for them."""
    if not isinstance(app.backend, DatabaseBackend):
        for each in messages:
            app.backend.forget(each.task_id)
    parts = [part for each in messages if (part := each.part()) is not None]
    followers = [follower for each in messages for follower in each.followers()]
    reviving.revive(alias, [each.task_id for each in messages], followers, parts)


def _decide(app: Celery, alias: str, task_ids: list[str], judge: Judge, decided: Decided) -> None:
    records = TaskRecord.objects.using(alias).filter(task_id__in=task_ids).order_by()
    texts = dict(records.values_list("task_id", "message"))
    for task_id in task_ids:
        try:
            judge.allow(task_id)
            decided.sent[task_id] = _message(app, task_id, texts)
        except (CannotBeSentAgain, MessageRefused) as error:
            decided.refused[task_id] = str(error)


def _message(app: Celery, task_id: str, texts: dict[str, str]) -> Kept:
    if task_id not in texts:
        raise CannotBeSentAgain("its record has expired, or there was never such a task")
    if not texts[task_id]:
        raise CannotBeSentAgain(_NOT_KEPT)
    kept = Kept.read(task_id, texts[task_id])
    refuse_unaccepted(app, accepting.type_of(kept.route.get("serializer") or "json"))
    return kept


def _insert(app: Celery, alias: str, sent: dict[str, Kept]) -> None:
    """The rows of tasks of their own, which say where they come from."""
    connection = connections[alias]
    published = [(app.backend, each.published()) for each in sent.values()]
    if not published:
        return
    rows = pending.rows_of(connection, published)
    largest = max(len(each.message) for _, each in published)
    insert_all(connection, publishing.inserts(connection, *rows), row_bytes=2 * largest)
    reviving.note_origins(alias, [(each.task_id, task_id) for task_id, each in sent.items()])
