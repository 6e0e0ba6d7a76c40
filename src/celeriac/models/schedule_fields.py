"""What may stand in the fields of a Schedule; each fault says what to write instead."""

import math
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from celery.schedules import ParseException, crontab, solar
from django.core.exceptions import ImproperlyConfigured, ValidationError

if TYPE_CHECKING:
    from celeriac.models.schedules import Schedule

_KINDS = ("cron", "every", "solar", "at")
_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
#: What the scheduler gives itself, or the entry has a field for.
_OTHERS_OPTIONS = frozenset(
    {"args", "kwargs", "task_id", "producer", "connection", "link", "link_error", "queue"}
)


def check(entry: "Schedule") -> None:
    """Raises ValidationError with every fault, by field."""
    faults: dict[str, str] = {}
    for name, find in _FAULTS.items():
        if (fault := find(entry)) is not None:
            faults[name] = fault
    if (fault := _fault_of_kind(entry)) is not None:
        faults.setdefault(next((kind for kind in _KINDS if getattr(entry, kind)), "cron"), fault)
    if faults:
        raise ValidationError(faults)


def as_crontab(text: str, **more: Any) -> crontab:
    """Five fields as Celery's own crontab. Raises ValueError."""
    words = text.split()
    if len(words) != len(_FIELDS):
        raise ValueError(
            f"{len(words)} fields; five are needed: minute, hour, day of month, month and day of week, "
            "as in 30 7 * * mon-fri."
        )
    try:
        return crontab(**dict(zip(_FIELDS, words, strict=True)), **more)
    except (ParseException, ValueError, KeyError) as error:
        raise ValueError(f"{text!r} is no cron expression: {error}") from error


def as_solar(text: str, **more: Any) -> solar:
    """Event, latitude and longitude as Celery's own. Raises ValueError, also where ephem is missing."""
    words = text.replace(",", " ").split()
    if len(words) != 3:
        raise ValueError("An event, a latitude and a longitude are needed, as in sunset 48.21 16.37.")
    if words[0] not in solar._all_events:
        near = get_close_matches(words[0], solar._all_events, n=1)
        meant = (
            f"Did you mean {near[0]!r}?" if near else f"It is one of {', '.join(sorted(solar._all_events))}."
        )
        raise ValueError(f"No event {words[0]!r} is known. {meant}")
    try:
        return solar(words[0], float(words[1]), float(words[2]), **more)
    except ImproperlyConfigured as error:
        raise ValueError("Solar times need the package ephem: pip install celery[solar]") from error
    except ValueError as error:
        raise ValueError(f"{text!r} is no solar schedule: {error}") from error


def _fault_of_kind(entry: "Schedule") -> str | None:
    given = [kind for kind in _KINDS if getattr(entry, kind)]
    if len(given) == 1:
        return None
    if not given:
        return "When is it due? Fill in one of cron, every, solar and at."
    return f"It can have only one of {', '.join(given)}."


def _fault_of_cron(entry: "Schedule") -> str | None:
    try:
        if entry.cron:
            as_crontab(entry.cron, nowfun=_any_moment).remaining_estimate(_any_moment())
    except (ValueError, RuntimeError) as error:
        # Celery looks 2,000 times for a day that there is none of, as the 31st of February.
        return str(error)
    return None


def _any_moment() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def _fault_of_solar(entry: "Schedule") -> str | None:
    try:
        if entry.solar:
            as_solar(entry.solar)
    except ValueError as error:
        return str(error)
    return None


def _fault_of_every(entry: "Schedule") -> str | None:
    if entry.every is not None and entry.every.total_seconds() < LEAST_SECONDS:
        return f"The shortest interval is {LEAST_SECONDS} s."
    return None


def _fault_of_time_zone(entry: "Schedule") -> str | None:
    if not entry.time_zone:
        return None
    try:
        ZoneInfo(entry.time_zone)
    except Exception:  # noqa: BLE001 - zoneinfo raises several, for paths and for names
        near = get_close_matches(entry.time_zone, _zones(), n=1)
        return f"No time zone {entry.time_zone!r} is known.{f' Did you mean {near[0]}?' if near else ''}"
    return None


@cache
def _zones() -> tuple[str, ...]:
    return tuple(available_timezones())


def _fault_of_args(entry: "Schedule") -> str | None:
    return None if isinstance(entry.args, list) else 'A JSON list is needed, as in [1, "two"]; [] for none.'


def _fault_of_kwargs(entry: "Schedule") -> str | None:
    return (
        None if isinstance(entry.kwargs, dict) else 'A JSON object is needed, as in {"days": 7}; {} for none.'
    )


def _fault_of_options(entry: "Schedule") -> str | None:
    if not isinstance(entry.options, dict):
        return 'A JSON object is needed, as in {"priority": 5}; {} for none.'
    taken = sorted(_OTHERS_OPTIONS & entry.options.keys())
    return f"{', '.join(taken)} cannot be given here." if taken else None


def _fault_of_end(entry: "Schedule") -> str | None:
    if entry.starts_at and entry.ends_at and entry.ends_at <= entry.starts_at:
        return "It ends before it starts."
    return None


def _fault_of_grace(entry: "Schedule") -> str | None:
    grace = entry.grace_seconds
    return "It is a number of seconds, above 0." if grace is not None and not 0 < grace < math.inf else None


#: As short as anybody needs, and as many as a database may be asked for.
LEAST_SECONDS = 0.1

_FAULTS = {
    "cron": _fault_of_cron,
    "solar": _fault_of_solar,
    "every": _fault_of_every,
    "time_zone": _fault_of_time_zone,
    "args": _fault_of_args,
    "kwargs": _fault_of_kwargs,
    "options": _fault_of_options,
    "ends_at": _fault_of_end,
    "grace_seconds": _fault_of_grace,
}
