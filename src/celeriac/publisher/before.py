"""How tasks that are sent again had ended, and others with them: again so where no broker takes them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import Celery, states
from celery.app.task import Context
from django_celery_results.models import TaskResult

from celeriac.broker import address
from celeriac.publisher.kept import Kept
from celeriac.results import chords, reviving
from celeriac.results.backend import DatabaseBackend
from celeriac.results.retry import until_stored


@dataclass(frozen=True, slots=True)
class Before:
    """Of the messages of a batch, by any keys."""

    app: Celery
    alias: str
    messages: Mapping[Any, Kept]
    rows: Mapping[str, TaskResult]
    #: Chords whose bodies had failed.
    ended_groups: Collection[str]

    @classmethod
    def of(cls, app: Celery, alias: str, messages: Mapping[Any, Kept]) -> "Before":
        """Read before the rows go back to the beginning; in a database they are one transaction with it."""
        if address.alias_of(app) is not None:
            messages = {}
        ids = {task_id for each in messages.values() for task_id in (each.task_id, *each.followers())}
        groups = {part.group_id for each in messages.values() if (part := each.part())}
        rows = reviving.ends(alias, ids) if ids else {}
        return cls(app, alias, messages, rows, reviving.ended_groups(alias, groups))

    def restore(self, keys: Collection[Any]) -> None:
        """What could not be sent has ended as it had."""
        left = [self.messages[key] for key in keys if key in self.messages]
        ids = {task_id for each in left for task_id in (each.task_id, *each.followers())}
        rows = [row for task_id, row in self.rows.items() if task_id in ids]
        until_stored(self.alias, partial(reviving.undo, self.alias, rows), is_vital=False)
        for each in left:
            if (part := each.part()) is not None and isinstance(self.app.backend, DatabaseBackend):
                request = Context(id=part.task_id, group=part.group_id, chord=each.embedded["chord"])
                had_ended = part.group_id in self.ended_groups
                chords.part_ended_before(self.app.backend, request, states.FAILURE, had_ended=had_ended)
