"""How the page starts its tasks: a row and its task, in one transaction.

With `atomic()` around both, the row and the task exist together or not at all: when something fails
before the commit, no worker ever sees a task without its row, and no row waits for a task that was never
sent. No `on_commit`, and the task's id is known at once.
"""

import tasks
from django.db import transaction

from cities.models import Export, Import
from cities.tasks import export_cities, import_cities


def start_import(people: int) -> Import:
    """Import the cities of at least so many people."""
    with transaction.atomic():
        job = Import.objects.create(people=people)
        job.task_id = import_cities.delay(job.pk).id
        job.save(update_fields=["task_id"])
    return job


def start_export(text: str, country: str | None, people: int) -> Export:
    """Write what the search finds to a file."""
    with transaction.atomic():
        export = Export.objects.create(text=text, country_id=country, people=people)
        export.task_id = export_cities.delay(str(export.pk)).id
        export.save(update_fields=["task_id"])
    return export


def ask_shaky_server() -> str:
    """Ask the server that answers only the third time; the task's id."""
    return str(tasks.ask_shaky_server.delay().id)
