"""Which database has what is asked for."""

from celery import Celery

from celeriac.broker import address
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias


def of_letters(app: Celery) -> str:
    """The database of the dead letters: the broker's, or that of our own tables beside another broker."""
    return address.alias_of(app) or results_alias()


def of_workers(app: Celery) -> str | None:
    """The database in which workers have their rows; None: they have none."""
    alias = address.alias_of(app)
    if alias is None and isinstance(app.backend, DatabaseBackend):
        return results_alias()
    return alias
