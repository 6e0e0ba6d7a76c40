"""The tasks of the import and the export. Celeriac finds this file; nothing registers it.

A task may run a second time after a crash, so each of these can: rows are inserted or updated by their
key, and a file takes its name when it is complete.
"""

import csv
from collections import Counter
from typing import Any

from celery import chord, shared_task
from django.db import transaction
from django.utils import timezone

from cities import geonames, search
from cities.models import City, Country, Export, Import

#: Cities for one task, and for one statement of it.
PART, BATCH = 2000, 250
UPDATED = ("name", "plain_name", "country", "population", "latitude", "longitude", "timezone", "imported_by")

#: A spreadsheet would run a text that begins like this.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@shared_task(bind=True)
def import_cities(self: Any, job_id: int) -> int:
    """Split the import into parts; `count_cities` runs when the last of them has ended: a chord."""
    self.update_state(state="PROGRESS", meta={"step": "reading the file"})
    people = Import.objects.get(pk=job_id).people
    total = len(geonames.places(people))
    _save_countries()
    # The tasks and the row that names them are one transaction: no part starts before the page can see it.
    with transaction.atomic():
        job = Import.objects.select_for_update().get(pk=job_id)
        if not job.part_ids:
            parts = [import_part.s(job_id, people, start) for start in range(0, total, PART)]
            counted = chord(parts)(count_cities.s(job_id))
            job.part_ids = [part.id for part in counted.parent.results]
            job.count_id, job.total = counted.id, total
            job.save()
    return total


@shared_task(bind=True)
def import_part(self: Any, job_id: int, people: int, start: int) -> dict[str, int]:
    """Import one part, saying how far it is; how many cities of each country it had."""
    part = geonames.places(people)[start : start + PART]
    for position in range(0, len(part), BATCH):
        batch = [
            City(**place._asdict(), imported_by_id=job_id) for place in part[position : position + BATCH]
        ]
        City.objects.bulk_create(
            batch, update_conflicts=True, unique_fields=["geoname_id"], update_fields=UPDATED
        )
        self.update_state(state="PROGRESS", meta={"done": position + len(batch), "of": len(part)})
    return Counter(place.country_id for place in part)


@shared_task
def count_cities(parts: list[dict[str, int]], job_id: int) -> dict[str, int]:
    """Add the counts of all parts up, country by country, and finish the import."""
    cities = sum((Counter(part) for part in parts), Counter())
    with transaction.atomic():
        countries = list(Country.objects.all())
        for country in countries:
            country.cities = cities[country.code]
        Country.objects.bulk_update(countries, ["cities"])
        # What an earlier and larger import has left.
        City.objects.exclude(imported_by=job_id).delete()
        Import.objects.filter(pk=job_id).update(finished_at=timezone.now())
    return {"cities": cities.total(), "countries": len(cities)}


@shared_task
def export_cities(export_id: str) -> int:
    """Write what an export's search finds to its file; how many rows that are."""
    export = Export.objects.get(pk=export_id)
    found = search.matches(export.text, export.country_id, export.people)
    export.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = export.path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        export.rows = _write(file, found.values_list(*search.COLUMNS).iterator())
    unfinished.replace(export.path)
    export.save(update_fields=["rows"])
    return export.rows


def _save_countries() -> None:
    Country.objects.bulk_create(
        [Country(code=code, name=name) for code, name in geonames.countries().items()],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name"],
    )


def _write(file: Any, rows: Any) -> int:
    writer = csv.writer(file)
    writer.writerow(search.COLUMNS)
    count = 0
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
        count += 1
    return count


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
