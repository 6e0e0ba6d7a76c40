"""Chords: the body is sent when each task of the header has ended, however often it was delivered.

A header task is one row (`ChordPart`), so a second delivery counts nothing. Part, count and body are one
transaction under the lock of the chord's row: with messages in the same database the body is sent exactly
when the last part is stored, on another broker it may be sent twice and is never lost. The rows stay until
they expire, so that a late delivery finds that the body was sent.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from celery import maybe_signature, states
from celery.exceptions import ChordError
from celery.result import GroupResult, result_from_tuple
from django.db import connections, models, transaction

from celeriac.models import Chord, ChordPart
from celeriac.results.retry import is_passing, until_stored

logger = logging.getLogger(__name__)


def begin(backend: Any, header_result_args: Any) -> None:
    """Store the chord before its header is sent; a chord that is there already stays as it is."""
    header = header_result_args
    if not isinstance(header, GroupResult):
        header = backend.app.GroupResult(*header_result_args)
    results = list(header.results)
    chord = Chord(
        group_id=header.id,
        size=len(list(_leaves(results))),
        header=json.dumps([result.as_tuple() for result in results]),
    )
    until_stored(backend.alias, partial(_insert_once, backend.alias, Chord, [chord], ["group_id"]))


def add(alias: str, group_id: str, result: Any) -> None:
    """Let the body wait for one more result, which comes last in its list."""
    until_stored(alias, partial(_add, alias, group_id, result))


def part_ended(backend: Any, request: Any, state: str) -> None:
    """Count the part of `request`; when it was the last one, send the body or fail it."""
    alias = backend.alias
    error = until_stored(alias, partial(_count, backend, request, state))
    if error is None:
        return
    # Outside of the transaction: this runs the user's errbacks, whose own errors must not undo the part.
    try:
        # Celery takes the traceback from the error that is being handled.
        raise error
    except ChordError:
        logger.exception("Chord %r failed.", request.group)
        backend.chord_error_from_stack(callback=_body(backend, request), exc=error)
    until_stored(alias, partial(_mark_sent, alias, request.group))


def _count(backend: Any, request: Any, state: str) -> ChordError | None:
    """One transaction; returns why the body cannot be sent. It begins with a write.

    SQLite would refuse a transaction that reads and then writes while another one wrote in between.
    """
    alias, group_id = backend.alias, request.group
    with transaction.atomic(using=alias):
        _insert_parts(alias, group_id, [request.id])
        # Locks the chord's row: the one who counts last sees every part.
        chord = Chord.objects.using(alias).select_for_update().filter(group_id=group_id).first()
        if chord is None:
            transaction.set_rollback(True, using=alias)
            logger.warning("Task %s ended, but its chord %s is not known.", request.id, group_id)
            return None
        if chord.is_sent:
            return None
        header = [result_from_tuple(item, app=backend.app) for item in json.loads(chord.header)]
        if state in states.PROPAGATE_STATES:
            # A chain that fails before its last link, a group, returns the group's id for all of its tasks.
            _insert_parts(alias, group_id, _leaves_of(request.id, header))
        if ChordPart.objects.using(alias).filter(group_id=group_id).count() < chord.size:
            return None
        return _send(backend, request, chord, header)


def _send(backend: Any, request: Any, chord: Chord, header: list[Any]) -> ChordError | None:
    try:
        values = _joined(backend, header)
    except ChordError as error:
        return error
    try:
        with transaction.atomic(using=backend.alias):
            _body(backend, request).delay(values)
    except Exception as error:  # Whatever it is, the body must not wait for ever.
        if is_passing(error):
            raise
        failure = ChordError(f"Callback error: {error!r}")
        failure.__cause__ = error
        return failure
    _mark_sent(backend.alias, chord.group_id)
    return None


def _joined(backend: Any, header: list[Any]) -> list[Any]:
    """The header's values in its order; raises ChordError for the first one that is none."""
    ids = {*_leaves(header), *(result.id for result in header if isinstance(result, GroupResult))}
    metas = dict(backend.ready_among(ids, states.READY_STATES))
    return [_value(result, metas) for result in header]


def _value(result: Any, metas: Mapping[str, dict[str, Any]]) -> Any:
    meta = metas.get(result.id)
    if meta is not None and meta["status"] in states.PROPAGATE_STATES:
        error = ChordError(f"Dependency {result.id} raised {meta['result']!r}")
        error.__cause__ = meta["result"] if isinstance(meta["result"], BaseException) else None
        raise error
    if isinstance(result, GroupResult):
        return [_value(child, metas) for child in result.results]
    if meta is None:
        raise ChordError(
            f"Dependency {result.id} has ended without a stored result; does it ignore its results?"
        )
    return meta["result"]


def _body(backend: Any, request: Any) -> Any:
    return maybe_signature(request.chord, app=backend.app)


def _leaves(results: list[Any]) -> Iterator[str]:
    """The ids of the tasks whose end counts, through groups in groups."""
    for result in results:
        if isinstance(result, GroupResult):
            yield from _leaves(result.results)
        else:
            yield result.id


def _leaves_of(group_id: str, results: list[Any]) -> list[str]:
    """The tasks of the group with this id, if the header has one."""
    groups = [result for result in results if isinstance(result, GroupResult)]
    found = [group for group in groups if group.id == group_id]
    inner = [
        task_id for group in groups if group not in found for task_id in _leaves_of(group_id, group.results)
    ]
    return [*_leaves(found), *inner]


def _insert_parts(alias: str, group_id: str, task_ids: list[str]) -> None:
    parts = [ChordPart(group_id=group_id, task_id=task_id) for task_id in task_ids]
    _insert_once(alias, ChordPart, parts, ["group_id", "task_id"])


def _insert_once(alias: str, model: type[models.Model], rows: list[Any], unique: list[str]) -> None:
    """Insert what is not there yet. Not `ignore_conflicts`: on MySQL that ignores every other error, too."""
    has_target = connections[alias].features.supports_update_conflicts_with_target
    model._default_manager.using(alias).bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=unique if has_target else None,
        update_fields=unique[:1],
    )


def _add(alias: str, group_id: str, result: Any) -> None:
    size = len(list(_leaves([result])))
    with transaction.atomic(using=alias):
        chords = Chord.objects.using(alias).filter(group_id=group_id)
        # A write first, for SQLite; it also locks the row.
        chords.update(size=models.F("size") + size)
        for header in chords.values_list("header", flat=True):
            chords.update(header=json.dumps([*json.loads(header), result.as_tuple()]))


def _mark_sent(alias: str, group_id: str) -> None:
    Chord.objects.using(alias).filter(group_id=group_id).update(is_sent=True)
