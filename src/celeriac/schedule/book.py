"""All entries: those of the table, and of the settings those that no row of the table has the name of."""

import logging
import time

from celery import Celery

from celeriac.schedule import settings_entries, table
from celeriac.schedule.entries import Entry, Unusable

logger = logging.getLogger(__name__)

#: All of the table again: what `QuerySet.update` changed.
_ALL_SECONDS = 60.0


class Book:
    """What is to be scheduled, read anew as far as it may have changed."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._of_settings = list(settings_entries.entries(app))
        self._entries: dict[str, Entry] = {}
        #: The names of those that cannot be scheduled here.
        self.unusable: frozenset[str] = frozenset()
        self._version: tuple[object, ...] | None = None
        self._all_at = 0.0
        self._told: set[tuple[str, str]] = set()

    def read(self) -> list[Entry]:
        """All that are enabled."""
        version = table.version()
        if version != self._version or time.monotonic() >= self._all_at:
            self._read_all()
            self._version, self._all_at = version, time.monotonic() + _ALL_SECONDS
        return list(self._entries.values())

    def entry(self, name: str) -> Entry:
        return self._entries[name]

    def _read_all(self) -> None:
        found = everything(self._app, self._of_settings)
        self._entries = {each.name: each for each in found if isinstance(each, Entry)}
        unusable = [each for each in found if isinstance(each, Unusable)]
        self.unusable = frozenset(each.name for each in unusable)
        for each in unusable:
            if (each.name, each.fault) not in self._told:
                self._told.add((each.name, each.fault))
                logger.error("Schedule %s is left out: %s", each.name, each.fault)


def everything(app: Celery, of_settings: list[Entry | Unusable] | None = None) -> list[Entry | Unusable]:
    """Every entry that is not disabled; a row hides an entry of the settings, also when it is disabled."""
    rows = table.rows()
    names = {row.name for row in rows}
    given = list(settings_entries.entries(app)) if of_settings is None else of_settings
    kept = [each for each in given if each.name not in names]
    return [*kept, *(table.entry(app, row) for row in rows if row.is_enabled)]
