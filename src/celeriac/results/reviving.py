"""Tasks that ended and are to run again under their own ids: their rows as if they had just been published.

Everything is a part of the caller's transaction, which begins with a write: SQLite would refuse one that
reads first while another one writes. What the runs before came to stays as attempts.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import states
from django.db import connections
from django.db.models import F, Max, Q
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.models import Attempt, Chord, ChordPart, Outcome, Revocation, TaskRecord
from celeriac.results import records, upsert

#: What may be made good. SUCCESS is final.
UNSUCCESSFUL = tuple(sorted(states.READY_STATES - {states.SUCCESS}))
#: After these another run comes by itself, or has come; a task that refuses its message may want it back.
_NOT_THE_END = (Outcome.RETRY, Outcome.LOST, Outcome.RETURNED, Outcome.REJECTED)
#: Columns of the state that a task ends in.
_OF_THE_END = ("status", "result", "traceback", "meta", "content_type", "content_encoding", "date_done")


@dataclass(frozen=True, slots=True)
class Part:
    """A task of a chord's header."""

    group_id: str
    task_id: str


def lock(alias: str, task_ids: Collection[str]) -> None:
    """Let nobody else decide about these tasks before the end of the transaction.

    Results before records, as those who write both do.
    """
    TaskResult._default_manager.using(alias).filter(task_id__in=task_ids).update(status=F("status"))
    TaskRecord.objects.using(alias).filter(task_id__in=task_ids).update(attempts=F("attempts"))


def ends(alias: str, task_ids: Collection[str]) -> dict[str, TaskResult]:
    """The rows of those tasks that have one."""
    rows = TaskResult._default_manager.using(alias).order_by().filter(task_id__in=task_ids)
    return {row.task_id: row for row in rows.only("task_id", *_OF_THE_END)}


def ended_without_state(alias: str, task_ids: Collection[str]) -> set[str]:
    """Those of which an attempt says that it was the last, as a task has it that ignores its result.

    Not where it was sent again behind that.
    """
    if not task_ids:
        return set()
    attempts = Attempt.objects.using(alias).order_by()
    last = attempts.filter(task_id__in=task_ids).values("task_id").annotate(last=Max("number"))
    wanted = Q()
    again = TaskRecord.objects.using(alias).order_by().filter(task_id__in=task_ids)
    sent = dict(again.filter(sent_again_at__isnull=False).values_list("task_id", "sent_again_at"))
    for each in last:
        behind = Q(ended_at__gt=sent[each["task_id"]]) if each["task_id"] in sent else Q()
        wanted |= Q(task_id=each["task_id"], number=each["last"]) & behind
    if not wanted:
        return set()
    return set(attempts.filter(wanted).exclude(outcome__in=_NOT_THE_END).values_list("task_id", flat=True))


def ended_groups(alias: str, group_ids: Collection[str]) -> set[str]:
    """The chords among these whose bodies were sent, or failed."""
    if not group_ids:
        return set()
    rows = Chord.objects.using(alias).filter(group_id__in=group_ids, is_sent=True)
    return set(rows.values_list("group_id", flat=True))


def revoked(alias: str, task_ids: Collection[str]) -> set[str]:
    """Those that no worker would run under their ids."""
    rows = Revocation.objects.using(alias).filter(value__in=task_ids, header="")
    return set(rows.values_list("value", flat=True))


def revive(alias: str, task_ids: Collection[str], followers: Collection[str], parts: Sequence[Part]) -> None:
    """Put them back to PENDING, and what failed with them: the rest of a chain, the body of a chord."""
    now = timezone.now()
    rows = TaskResult._default_manager.using(alias)
    rows.filter(task_id__in={*task_ids, *followers}, status__in=UNSUCCESSFUL).update(
        status=states.PENDING,
        result=None,
        traceback=None,
        meta=None,
        worker=None,
        date_started=None,
        date_done=now,
    )
    TaskRecord.objects.using(alias).filter(task_id__in=task_ids).update(
        published_at=now, sent_again_at=now, started_at=None, finished_at=None, attempts=0
    )
    _reopen(alias, parts)


def _reopen(alias: str, parts: Sequence[Part]) -> None:
    """A chord that failed waits for these parts again, and then sends its body."""
    if not parts:
        return
    groups, tasks = {each.group_id for each in parts}, {each.task_id for each in parts}
    Chord.objects.using(alias).filter(group_id__in=groups).update(is_sent=False)
    ChordPart.objects.using(alias).filter(group_id__in=groups, task_id__in=tasks).delete()


def undo(alias: str, ended: Iterable[TaskResult]) -> None:
    """The tasks could not be sent: they have ended as they had."""
    writes = [_write(row) for row in ended if row.status in UNSUCCESSFUL]
    upsert.write(connections[alias], writes)
    for each in writes:
        records.finish(connections[alias], each.task_id, each.at)


def note_origins(alias: str, origins: Iterable[tuple[str, str]]) -> None:
    """Write into the records of new tasks whose message is theirs: (new id, id of the origin)."""
    known = dict(origins)
    found = list(TaskRecord.objects.using(alias).filter(task_id__in=known).only("task_id"))
    for each in found:
        each.origin_id = known[each.task_id]
    TaskRecord.objects.using(alias).bulk_update(found, ["origin_id"], batch_size=100)


def _write(row: TaskResult) -> upsert.Write:
    told: dict[str, Any] = {name: getattr(row, name) for name in _OF_THE_END if name != "date_done"}
    return upsert.Write(task_id=row.task_id, at=row.date_done, **told)
