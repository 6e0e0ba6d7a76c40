"""Chords: the body is sent when each task of the header has ended, however often it was delivered.

A header task is one row (`ChordPart`), so a second delivery counts nothing. Part, count and body are one
transaction under the lock of the chord's row: with messages in the same database the body is sent exactly
when the last part is stored, on another broker it may be sent twice and is never lost. The rows stay until
they expire, so that a late delivery finds that the body was sent.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import maybe_signature, states
from celery.exceptions import ChordError
from celery.result import GroupResult, result_from_tuple
from django.db import connections, models, transaction

from celeriac.models import Chord, ChordPart
from celeriac.results.retry import is_passing, until_stored

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _End:
    """A header task that ended, and the body of its chord; without a task it is the chord that came late."""

    group_id: str
    body: Any
    task_id: str | None = None
    state: str = states.SUCCESS


def begin(backend: Any, header_result_args: Any, body: Any) -> None:
    """Store the chord before its header is sent; a chord that is there already stays as it is."""
    alias, header = backend.alias, header_result_args
    if not isinstance(header, GroupResult):
        header = backend.app.GroupResult(*header_result_args)
    results = list(header.results)
    chord = Chord(
        group_id=header.id,
        size=len(list(_leaves(results))),
        header=json.dumps([result.as_tuple() for result in results]),
    )
    until_stored(alias, partial(_insert_once, alias, Chord, [chord], ["group_id"]))
    if connections[alias].in_atomic_block:
        # On a broker outside of this database the header may run, and end, before the caller commits.
        late = partial(_settle, backend, _End(header.id, body))
        transaction.on_commit(late, using=alias, robust=True)


def add(alias: str, group_id: str, result: Any) -> None:
    """Let the body wait for one more result, which comes last in its list."""
    until_stored(alias, partial(_add, alias, group_id, result))


def part_ended(backend: Any, request: Any, state: str) -> None:
    """Count the part of `request`; when it was the last one, send the body or fail it."""
    end = _End(request.group, request.chord, request.id, state)
    # The second look: the chord may have been committed between the first one and the commit of the part.
    if not _settle(backend, end) and not _settle(backend, end):
        logger.warning("Task %s ended, but its chord %s is not known (yet).", request.id, request.group)


def part_ended_before(backend: Any, request: Any, state: str, *, had_ended: bool) -> None:
    """Count a part again that was to run anew and will not; `had_ended`: its chord had, and so it has."""
    if not had_ended:
        return part_ended(backend, request, state)

    def close() -> None:
        _insert_parts(backend.alias, request.group, [request.id])
        _mark_sent(backend.alias, request.group)

    return until_stored(backend.alias, close)


def is_counted(alias: str, group_id: str, task_id: str) -> bool:
    """Whether this part is counted; raises the database's errors. Index: celeriac_chordpart_unique."""
    return ChordPart.objects.using(alias).filter(group_id=group_id, task_id=task_id).exists()


def _settle(backend: Any, end: _End) -> bool:
    """Send or fail the body if nothing is missing; False when the chord is not known."""
    outcome = until_stored(backend.alias, partial(_count, backend, end))
    if not isinstance(outcome, ChordError):
        return outcome
    # Outside of the transaction: this runs the user's errbacks, whose own errors must not undo the part.
    try:
        # Celery takes the traceback from the error that is being handled.
        raise outcome
    except ChordError:
        logger.exception("Chord %r failed.", end.group_id)
        backend.chord_error_from_stack(callback=maybe_signature(end.body, app=backend.app), exc=outcome)
    until_stored(backend.alias, partial(_mark_sent, backend.alias, end.group_id))
    return True


def _count(backend: Any, end: _End) -> bool | ChordError:
    """One transaction: store the part, and send the body if it was the last; or return why that cannot be.

    It begins with a write: SQLite would refuse one that reads first while another one writes in between.
    """
    alias, group_id = backend.alias, end.group_id
    # Outside of the transaction and without a lock: MySQL would wait here for a publisher that has not
    # committed its chord.
    is_known = Chord.objects.using(alias).filter(group_id=group_id).exists()
    with transaction.atomic(using=alias):
        _insert_parts(alias, group_id, [] if end.task_id is None else [end.task_id])
        if not is_known:
            return False
        # Locks the chord's row: the one who counts last sees every part.
        chords = Chord.objects.using(alias).select_for_update().defer("header")
        chord = chords.filter(group_id=group_id).first()
        if chord is None or chord.is_sent:
            return chord is not None
        _insert_parts(alias, group_id, _ended_with_their_group(backend, end, chord))
        if ChordPart.objects.using(alias).filter(group_id=group_id).count() < chord.size:
            return True
        return _send(backend, end, chord)


def _ended_with_their_group(backend: Any, end: _End, chord: Chord) -> list[str]:
    """The tasks that never run: a chain that fails before its last link, a group, returns the group's id."""
    if end.task_id is None:
        # Of all that was counted before the chord was known, and could not be looked up in its header.
        parts = ChordPart.objects.using(backend.alias).filter(group_id=end.group_id)
        ended = set(parts.values_list("task_id", flat=True))
    elif end.state in states.PROPAGATE_STATES:
        ended = {end.task_id}
    else:
        return []
    return list(_leaves_of(ended, _header(backend, chord))) if ended else []


def _send(backend: Any, end: _End, chord: Chord) -> bool | ChordError:
    try:
        values = _joined(backend, _header(backend, chord))
    except ChordError as error:
        return error
    try:
        with transaction.atomic(using=backend.alias):
            maybe_signature(end.body, app=backend.app).delay(values)
    except Exception as error:  # Whatever it is, the body must not wait for ever.
        if is_passing(error):
            raise
        failure = ChordError(f"Callback error: {error!r}")
        failure.__cause__ = error
        return failure
    _mark_sent(backend.alias, chord.group_id)
    return True


def _header(backend: Any, chord: Chord) -> list[Any]:
    return [result_from_tuple(item, app=backend.app) for item in json.loads(chord.header)]


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


def _leaves(results: list[Any]) -> Iterator[str]:
    """The ids of the tasks whose end counts, through groups in groups."""
    for result in results:
        if isinstance(result, GroupResult):
            yield from _leaves(result.results)
        else:
            yield result.id


def _leaves_of(group_ids: set[str], results: list[Any]) -> Iterator[str]:
    """The tasks of the groups with these ids, as far as the header has them."""
    for result in results:
        if isinstance(result, GroupResult):
            yield from _leaves([result]) if result.id in group_ids else _leaves_of(group_ids, result.results)


def _insert_parts(alias: str, group_id: str, task_ids: list[str]) -> None:
    parts = [ChordPart(group_id=group_id, task_id=task_id) for task_id in task_ids]
    if parts:
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
