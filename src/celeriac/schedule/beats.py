"""Celery's own beat beside our schedulers: while one lives, the entries of the settings are left to it.

It has a row among the workers, and their lock and heartbeat, but no pool: it takes no messages.
"""

import os
import socket
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from celeriac.broker import clock
from celeriac.conf import options
from celeriac.models import Worker

_NAME = "celerybeat@"
#: Of a row that no worker's look at the locks and heartbeats ends, as where workers have none themselves.
_SILENT_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Beats:
    """What one look found."""

    #: Where one lives, as `web1:4711`; None: none does.
    place: str | None = None
    #: Rows of such as gave no sign of life for long.
    silent: frozenset[int] = frozenset()


def node() -> str:
    """The name of this process's row, if it is a beat."""
    return f"{_NAME}{socket.gethostname()}:{os.getpid()}"


def look(alias: str, now: int, *, is_silence_proof: bool = True) -> Beats:
    """The beats that live, by the database's time.

    `is_silence_proof`: False where the database was away until now, which silences the living too.
    """
    found = list(_rows(alias).order_by("-pk").values_list("pk", "node", "beaten_at"))
    oldest = now - clock.seconds(_SILENT_FACTOR * options().lost_after_seconds)
    silent = [pk for pk, _, beaten_at in found if beaten_at is not None and beaten_at < oldest]
    over = frozenset(silent) if is_silence_proof else frozenset()
    places = [name.removeprefix(_NAME) for pk, name, _ in found if pk not in over]
    return Beats(places[0] if places else None, over)


def is_there(alias: str, silent: Set[int]) -> bool:
    """Whether one lives, but for those that were found silent."""
    return _rows(alias).exclude(pk__in=silent).exists()


def forget(alias: str, before: int) -> None:
    """Delete the rows of those that have been silent since then."""
    _rows(alias).filter(beaten_at__lt=before).delete()


def _rows(alias: str) -> QuerySet[Any]:
    """Index: celeriac_worker_node."""
    return Worker.objects.using(alias).filter(node__startswith=_NAME, pool="", is_lost=False)
