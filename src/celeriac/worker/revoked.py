"""Celery's own memory of what is revoked, filled from the table."""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import state

#: The ids that came from the table.
_known: set[str] = set()


def take(ids: Set[str], stamps: Mapping[str, Sequence[Any]], *, is_all: bool) -> None:
    """Let none of these tasks begin; `is_all`: what came from the table before and is gone is forgotten.

    In the consumer's own thread.
    """
    if is_all:
        for gone in _known - ids:
            state.revoked.discard(gone)
        _known.clear()
    _known.update(ids)
    # Else the oldest would fall out of the set to make room.
    state.revoked.maxlen = max(state.REVOKES_MAX, 2 * len(_known))
    for task_id in ids:
        state.revoked.add(task_id)
    for header, values in stamps.items():
        known = list(maybe_list(state.revoked_stamps.get(header)) or [])
        told = {_key(value) for value in known}
        state.revoked_stamps[header] = known + [value for value in values if _key(value) not in told]


def _key(value: Any) -> str:
    """1, True and "1" are not the same stamp."""
    return json.dumps(value, default=repr)
