"""Celery's result backend `django-db`: what `AsyncResult` reads and what workers store.

It reads and writes django-celery-results' own tables in their own format (`rows`). States never go
backwards (`upsert`), and a busy or restarted database is tried again (`retry`).
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import states
from celery.backends.base import BaseDictBackend
from celery.result import result_from_tuple
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django_celery_results.models import GroupResult, TaskResult

from celeriac.database.failures import first_line
from celeriac.results import attempts, chords, failing, noting, records, retention, storing, upsert, writer
from celeriac.results.attempts import Ended
from celeriac.results.notes import Note
from celeriac.results.pending import results_alias
from celeriac.results.retry import is_in_transaction, is_lost, is_passing, until_stored
from celeriac.results.rows import RowFormat
from celeriac.results.waiting import Waiting

logger = logging.getLogger(__name__)


class DatabaseBackend(RowFormat, Waiting, BaseDictBackend):
    """Results in the project's database, by the connection that the thread has there."""

    TaskModel = TaskResult
    GroupModel = GroupResult

    @property
    def alias(self) -> str:
        return results_alias()

    # Workers store

    def _store_result(
        self,
        task_id: str,
        result: Any,
        status: str,
        traceback: str | None = None,
        request: Any = None,
        using: str | None = None,
    ) -> Any:
        """Store a state; raises EncodeError for a result that cannot be serialized, which ends as FAILURE."""
        is_noted = (
            using is None and noting.takes(status, request) and storing.may_leave_to_flusher(self.alias)
        )
        if is_noted and noting.take(self._note_of(task_id, result, status, traceback, request), request):
            return result
        if status in failing.STATES:
            name = getattr(request, "task", None) or ""
            result, traceback = failing.without_secrets(self.app, name, request, result, traceback)
        write = self.write_of(task_id, result, status, traceback, request)
        began = noting.beginning(task_id)
        write.started_at = None if began is None else datetime.fromisoformat(began[upsert.AT])
        attempt = failing.attempt_of(write, result, request)
        _in_order(partial(_save, using or self.alias, write, getattr(request, "task", None), attempt))
        return result

    def _note_of(self, task_id: str, result: Any, status: str, traceback: str | None, request: Any) -> Note:
        name = getattr(request, "task", None) or ""
        began = noting.beginning(task_id) if status == states.SUCCESS else None
        if began is not None:
            return Note(self.end_of(began, result, request), name)
        return Note.of(self.write_of(task_id, result, status, traceback, request), name)

    def mark_as_done(self, *args: Any, **kwargs: Any) -> None:
        """Store SUCCESS and count the part of its chord."""
        noting.task_ends(True)
        try:
            super().mark_as_done(*args, **kwargs)
        finally:
            noting.task_ends(False)

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: Any = None, request: Any = None, **options: Any
    ) -> None:
        """Store FAILURE with what follows from it: chord, chain and errbacks."""
        if not options.get("store_result", True):
            name = getattr(request, "task", None) or ""
            attempt = failing.attempt_apart(self.app, name, request, exc, traceback)
            keep_attempt(self.alias, attempt)
        mark = partial(super().mark_as_failure, task_id, exc, traceback, request, **options)

        def mark_all() -> None:
            with failing.failing(self.app, request):
                mark()

        _in_order(mark_all)

    def store_failure(self, connection: BaseDatabaseWrapper, error: Exception, request: Any) -> None:
        """Store FAILURE and its attempt in the caller's transaction; what follows from it is the caller's."""
        result = self.encode_result(error, states.FAILURE)
        write = self.write_of(request.id, result, states.FAILURE, None, request)
        attempt = failing.attempt_of(write, result, request)
        _save_once(connection, write, request.task, attempt)

    def get_state(self, task_id: str) -> str:
        """The state alone: nothing of a result or an error is decoded for it."""
        rows = TaskResult._default_manager.using(self.alias).order_by()
        return rows.filter(task_id=task_id).values_list("status", flat=True).first() or states.PENDING

    get_status = get_state

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        """Store REVOKED and count the part of its chord."""
        _in_order(partial(super().mark_as_revoked, task_id, *args, **kwargs))

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Remember a chord before its header is sent."""
        self.ensure_chords_allowed()
        chords.begin(self, header_result_args, body)

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """Let the body wait for one more task."""
        chords.add(self.alias, chord_id, result)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Count a header task that ended; the last one sends the body."""
        if request.group and request.id:
            _in_order(partial(chords.part_ended, self, request, state))

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Whether `result_backend_always_retry` may go on after our own tries."""
        connection = connections[self.alias]
        if is_in_transaction(connection) or not is_passing(exc):
            return False
        if is_lost(exc):
            connection.close()
        return True

    # `AsyncResult` reads

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        rows = TaskResult._default_manager.using(self.alias).order_by()
        row = rows.filter(task_id=task_id).first()
        return self.meta_of(TaskResult(task_id=task_id) if row is None else row)

    def task_result_exists(self, task_id: str) -> bool:
        """Whether the task has a row, also while it is PENDING."""
        return TaskResult._default_manager.using(self.alias).filter(task_id=task_id).exists()

    def _forget(self, task_id: str) -> None:
        TaskResult._default_manager.using(self.alias).filter(task_id=task_id).delete()

    def _save_group(self, group_id: str, group_result: Any) -> Any:
        content_type, content_encoding, result = self.encode_content(group_result.as_tuple())
        row = GroupResult(
            group_id=group_id, content_type=content_type, content_encoding=content_encoding, result=result
        )
        until_stored(self.alias, partial(self._upsert_group, row))
        return group_result

    def _upsert_group(self, row: GroupResult) -> None:
        has_target = connections[self.alias].features.supports_update_conflicts_with_target
        GroupResult._default_manager.using(self.alias).bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["group_id"] if has_target else None,
            update_fields=["content_type", "content_encoding", "result", "date_done"],
        )

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        row = GroupResult._default_manager.using(self.alias).order_by().filter(group_id=group_id).first()
        if row is None:
            return None
        fields: dict[str, Any] = row.as_dict()
        decoded = self.decode_content(row, fields["result"])
        fields["result"] = result_from_tuple(decoded, app=self.app) if decoded else None
        return fields

    def _delete_group(self, group_id: str) -> None:
        GroupResult._default_manager.using(self.alias).filter(group_id=group_id).delete()

    def cleanup(self) -> None:
        """Delete what `result_expires` lets go; 0 or None keeps everything."""
        if self.expires:
            retention.expire(self.alias, timedelta(seconds=self.expires))


def keep_attempt(alias: str, attempt: Ended | None) -> None:
    """Write an attempt of a task of which no state is stored; a worker tells in its log what it cannot."""
    if attempt is not None:
        _in_order(partial(_keep_attempt, alias, attempt))


def _keep_attempt(alias: str, attempt: Ended) -> None:
    try:
        storing.store_or_tell(alias, partial(attempts.write, attempts=[attempt]))
    except (Error, ImproperlyConfigured) as error:
        if isinstance(error, Error) and is_in_transaction(connections[alias]):
            raise
        logger.warning("An attempt of task %s is not kept: %s", attempt.task_id, first_line(error))


def _in_order(operation: Callable[[], Any]) -> None:
    """Do it now; in a worker's main process, outside of a task, let its writer do it in turn.

    There a database error would be raised into the event loop, and end the worker.
    """
    elsewhere = writer.for_this_thread()
    if elsewhere is None:
        operation()
    else:
        elsewhere.submit(operation)


def _save(alias: str, write: upsert.Write, task_name: str | None, attempt: Ended | None) -> None:
    # Celery stores STARTED in front of the task, and an error there would fail a task that never ran.
    store = storing.store_or_tell if write.status == states.STARTED else storing.store
    store(alias, partial(_save_once, write=write, task_name=task_name, attempt=attempt))


def _save_once(
    connection: BaseDatabaseWrapper, write: upsert.Write, task_name: str | None, attempt: Ended | None
) -> None:
    if attempt is not None:
        attempts.write(connection, [attempt])
    upsert.write(connection, [write])
    if write.status == states.STARTED:
        run = records.Run(write.task_id, task_name or "", starts=1, started_at=write.at)
        records.add_runs(connection, [run])
    elif write.status in states.READY_STATES and task_name:
        # Its beginning may only be noted yet, and make the record.
        records.add_runs(connection, [records.Run(write.task_id, task_name, finished_at=write.at)])
    elif write.status in states.READY_STATES:
        records.finish(connection, write.task_id, write.at)
