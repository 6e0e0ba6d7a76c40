"""What a command says of tables that are not there: in which database, and what to do."""

from celery import Celery
from django.db import DatabaseError, connections

from celeriac.broker import address
from celeriac.database import failures
from celeriac.errors import TablesMissing
from celeriac.results.pending import results_alias
from celeriac.schedule import table

#: Who has another broker may never have heard of them, and Celery does without.
_BESIDE_A_BROKER = "(needed with this broker too; without: python manage.py celery inspect ping)"


def explained(app: Celery, error: DatabaseError | TablesMissing) -> TablesMissing:
    """In one line, also where the driver says of which table, and nobody of which database."""
    text = str(error)
    if not isinstance(error, TablesMissing):
        text = failures.tables_missing(_alias_without(app, failures.missing_table(error)))
    return TablesMissing(text if address.alias_of(app) is not None else f"{text} {_BESIDE_A_BROKER}")


def _alias_without(app: Celery, name: str | None) -> str:
    """The first of the databases with tables of ours that lacks this one."""
    used = [address.alias_of(app) or results_alias(), results_alias(), table.alias()]
    for alias in used:
        try:
            if name not in connections[alias].introspection.table_names():
                return alias
        except DatabaseError:
            continue  # Away: it is not the one that has answered.
    return used[0]
