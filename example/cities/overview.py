"""Everything the page shows, in a form that its templates can take as it is."""

from typing import Any

from celery import states
from django.db.models import Count, Max
from django_celery_results.models import TaskResult

from cities import progress, search
from cities.forms import SearchForm
from cities.models import Attempt, City, Country, Export

TASKS_SHOWN, EXPORTS_SHOWN, CITIES_SHOWN, COUNTRIES_SHOWN = 12, 5, 8, 12


def overview(query: Any) -> dict[str, Any]:
    """The context of every part of the page; `query` is what the search form was sent."""
    return {
        "progress": progress.latest(),
        **_countries(),
        **_shaky(),
        **_search(query),
        "exports": _exports(),
        **_tasks(),
    }


def _countries() -> dict[str, Any]:
    rows = list(Country.objects.filter(cities__gt=0).order_by("-cities", "name"))
    most = rows[0].cities if rows else 1
    bars = [(country, round(100 * country.cities / most, 1)) for country in rows]
    return {
        "countries": bars[:COUNTRIES_SHOWN],
        "other_countries": bars[COUNTRIES_SHOWN:],
        "city_count": sum(country.cities for country in rows),
        "country_count": len(rows),
    }


def _shaky() -> dict[str, Any]:
    task = TaskResult.objects.filter(task_name="tasks.ask_shaky_server").order_by("-pk").first()
    attempts = Attempt.objects.filter(task_id=task.task_id).order_by("number") if task else ()
    return {"shaky": task, "attempts": list(attempts)}


def _search(query: Any) -> dict[str, Any]:
    form = SearchForm(query, auto_id=False)
    if not form.is_valid():
        return {"form": form, "found": [], "found_count": 0}
    found = search.matches(**form.criteria())
    return {"form": form, "found": found[:CITIES_SHOWN], "found_count": found.count()}


def _exports() -> list[Export]:
    exports = list(Export.objects.select_related("country").order_by("-created_at")[:EXPORTS_SHOWN])
    rows = TaskResult.objects.filter(task_id__in=[export.task_id for export in exports])
    status = dict(rows.values_list("task_id", "status"))
    for export in exports:
        export.status = status.get(export.task_id, states.PENDING)
    return exports


def _tasks() -> dict[str, Any]:
    """The public history: django_celery_results_taskresult."""
    rows = list(TaskResult.objects.order_by("-pk")[:TASKS_SHOWN])
    for row in rows:
        is_ready = row.status in states.READY_STATES and row.date_started
        row.seconds = (row.date_done - row.date_started).total_seconds() if is_ready else None
    counts = TaskResult.objects.values("status").annotate(count=Count("pk")).order_by("status")
    return {
        "tasks": rows,
        "task_counts": list(counts),
        "cleanup": TaskResult.objects.filter(task_name="tasks.delete_old_exports").aggregate(
            count=Count("pk"), last=Max("date_done")
        ),
        "has_cities": City.objects.exists(),
    }
