"""Tasks that are not to run: remembered until they ended, for workers that are not there yet.

Celery's workers keep them in memory, where a restart forgets them.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from django.db import connections
from django.utils import timezone

from celeriac.database import threads
from celeriac.models import Revocation
from celeriac.results.pending import results_alias
from celeriac.results.retry import until_stored
from celeriac.results.tables import limit_of

#: Header and the stamp as JSON; without a header the id of a task.
Entry = tuple[str, str]

_LONGEST = {name: limit_of(Revocation, name) or 0 for name in ("header", "value")}
#: Whoever revokes waits: after so many tries of a busy database it is an error.
_TRIES = 4


def remember(entries: Iterable[Entry]) -> None:
    """Write them in the caller's transaction, if there is one; one that is there already counts anew.

    Raises ValueError for what no column can hold, or the database's error: then it is not remembered.
    """
    # In order: two that write the same rows never wait for each other in a circle.
    wanted, alias = sorted(set(entries)), results_alias()
    if not wanted or connections.settings[alias]["ENGINE"].endswith(".dummy"):
        return
    for header, value in wanted:
        if len(header) > _LONGEST["header"] or len(value) > _LONGEST["value"] or "\x00" in header + value:
            raise ValueError(f"Too long to be revoked, or not a text: {(header or value)[:40]!r}…")
    threads.run_anywhere(
        partial(until_stored, alias, partial(_write, alias, wanted), tries=_TRIES, is_vital=False)
    )


def since(moment: datetime | None) -> list[Entry]:
    """Those that were remembered since then, or all."""
    rows = Revocation.objects.using(results_alias()).order_by("revoked_at")
    if moment is not None:
        rows = rows.filter(revoked_at__gte=moment)
    return list(rows.values_list("header", "value"))


def _write(alias: str, entries: list[Entry]) -> None:
    has_target = connections[alias].features.supports_update_conflicts_with_target
    now = timezone.now()
    Revocation.objects.using(alias).bulk_create(
        [Revocation(header=header, value=value, revoked_at=now) for header, value in entries],
        update_conflicts=True,
        unique_fields=["value", "header"] if has_target else None,
        update_fields=["revoked_at"],
    )
