"""Tasks that are not to run: remembered until they ended, for workers that are not there yet.

Celery's workers keep them in memory, where a restart forgets them, and three hours do too.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from django.core.exceptions import SynchronousOnlyOperation

from celeriac.database import threads
from celeriac.models import Revocation
from celeriac.results.pending import results_alias
from celeriac.results.retry import until_stored

#: Header and stamp; without a header the id of a task.
Entry = tuple[str, str]

#: Whoever revokes waits: give up within half a second.
_TRIES = 4


def remember(entries: Sequence[Entry]) -> None:
    """Write them in the caller's transaction, if there is one; one that is there already stays.

    Raises the database's error when that is impossible: then nothing is revoked.
    """
    if not entries:
        return
    write = partial(_write, results_alias(), entries)
    try:
        write()
    except SynchronousOnlyOperation:
        threads.run(write)


def since(moment: datetime | None) -> Iterable[tuple[str, str]]:
    """Header and value of those that were remembered since then, or of all."""
    rows = Revocation.objects.using(results_alias()).order_by("revoked_at")
    if moment is not None:
        rows = rows.filter(revoked_at__gte=moment)
    return rows.values_list("header", "value").iterator(chunk_size=1000)


def _write(alias: str, entries: Sequence[Entry]) -> None:
    rows = [Revocation(header=header, value=value) for header, value in entries]
    manager = Revocation.objects.using(alias)
    until_stored(
        alias, partial(manager.bulk_create, rows, ignore_conflicts=True), tries=_TRIES, is_vital=False
    )
