"""Taking over the entries of django-celery-beat, which is not needed for it: its tables are read as they are.

Which columns there are depends on its version; the database is asked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.db import connections, models, transaction

from celeriac.errors import CeleriacError
from celeriac.models import Schedule
from celeriac.schedule import table

_PREFIX = "django_celery_beat_"
_TASKS = f"{_PREFIX}periodictask"
#: What is read of each table, if it is there. The kinds only say how a value comes from the database.
_TEXT, _TIME, _NUMBER = models.TextField, models.DateTimeField, models.FloatField
_COLUMNS: dict[str, dict[str, "type[models.Field[Any, Any]]"]] = {
    _TASKS: {
        **dict.fromkeys(("name", "task", "args", "kwargs", "queue", "exchange", "routing_key"), _TEXT),
        **dict.fromkeys(("headers", "description"), _TEXT),
        **dict.fromkeys(("expires", "start_time"), _TIME),
        **dict.fromkeys(("one_off", "enabled"), models.BooleanField),
        **dict.fromkeys(("priority", "expire_seconds"), models.IntegerField),
        **dict.fromkeys(("crontab_id", "interval_id", "solar_id", "clocked_id"), models.IntegerField),
    },
    f"{_PREFIX}crontabschedule": dict.fromkeys(
        ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone"), _TEXT
    ),
    f"{_PREFIX}intervalschedule": {"every": models.IntegerField, "period": _TEXT},
    f"{_PREFIX}solarschedule": {"event": _TEXT, "latitude": _NUMBER, "longitude": _NUMBER},
    f"{_PREFIX}clockedschedule": {"clocked_time": _TIME},
}


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of theirs."""

    row: Schedule
    #: "new", "there" where we have one of its name, or "faulty".
    verdict: str
    fault: str | None = None


def found(alias: str) -> list[Found]:
    """All of theirs in this database, by name, and what would become of them. Raises CeleriacError."""
    if _TASKS not in connections[alias].introspection.table_names():
        raise CeleriacError(
            f"Database {alias!r} has no tables of django-celery-beat. --database names another one."
        )
    ours = set(Schedule.objects.using(table.alias()).values_list("name", flat=True))
    kinds = {name: {row["id"]: row for row in _rows(alias, name)} for name in _COLUMNS if name != _TASKS}
    return [_judged(each, kinds, ours) for each in sorted(_rows(alias, _TASKS), key=lambda row: row["name"])]


def take(entries: list[Found]) -> int:
    """Write those that are new, all or none; how many."""
    new = [each.row for each in entries if each.verdict == "new"]
    with transaction.atomic(using=table.alias()):
        for row in new:
            row.save(using=table.alias(), force_insert=True)
    return len(new)


def _judged(given: dict[str, Any], kinds: dict[str, dict[Any, Any]], ours: set[str]) -> Found:
    row = Schedule(name=given["name"], task=given["task"])
    if row.name in ours:
        return Found(row, "there")
    try:
        for field, value in _fields(given, kinds).items():
            setattr(row, field, value)
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        faults = (f"{name}: {each[0]}" for name, each in error.message_dict.items())
        return Found(row, "faulty", "; ".join(faults))
    except (ValueError, KeyError, TypeError) as error:
        return Found(row, "faulty", str(error) or repr(error))
    return Found(row, "new")


def _fields(given: dict[str, Any], kinds: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    options = {name: given.get(name) for name in ("exchange", "routing_key", "priority")}
    options |= {"expires": given.get("expire_seconds"), "headers": json.loads(given.get("headers") or "{}")}
    return {
        "args": json.loads(given["args"] or "[]"),
        "kwargs": json.loads(given["kwargs"] or "{}"),
        "queue": given.get("queue") or "",
        "options": {name: value for name, value in options.items() if value not in (None, "", {})},
        "is_enabled": given["enabled"],
        "is_one_off": given.get("one_off") or False,
        "starts_at": given.get("start_time"),
        # Of theirs: the moment after which nothing is sent.
        "ends_at": given.get("expires"),
        "description": given.get("description") or "",
        **_when(given, kinds),
    }


def _when(given: dict[str, Any], kinds: dict[str, dict[Any, Any]]) -> dict[str, Any]:
    def of(kind: str) -> Any:
        return kinds[f"{_PREFIX}{kind}schedule"].get(given.get(f"{kind}_id"))

    if (cron := of("crontab")) is not None:
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        # Theirs may be written with blanks between numbers.
        text = " ".join("".join(cron[each].split()) for each in fields)
        return {"cron": text, "time_zone": str(cron.get("timezone") or "")}
    if (interval := of("interval")) is not None:
        return {"every": timedelta(**{interval["period"]: interval["every"]})}
    if (solar := of("solar")) is not None:
        return {"solar": f"{solar['event']} {solar['latitude']:g} {solar['longitude']:g}"}
    if (clocked := of("clocked")) is not None:
        return {"at": clocked["clocked_time"]}
    raise ValueError("it has no schedule")


def _rows(alias: str, name: str) -> Iterator[dict[str, Any]]:
    connection = connections[alias]
    if name not in connection.introspection.table_names():
        return iter(())
    with connection.cursor() as cursor:
        there = {each.name for each in connection.introspection.get_table_description(cursor, name)}
    columns = {column: kind(null=True) for column, kind in _COLUMNS[name].items() if column in there}
    return iter(_model(name, columns).objects.using(alias).values("id", *columns))


def _model(name: str, columns: dict[str, Any]) -> Any:
    """A model that belongs to no app: nothing of it is migrated or seen elsewhere."""
    given = {"managed": False, "db_table": name, "app_label": "celeriac_import", "apps": Apps()}
    meta = type("Meta", (), given)
    fields = {"id": models.IntegerField(primary_key=True), **columns}
    return type(name, (models.Model,), {**fields, "Meta": meta, "__module__": __name__})
