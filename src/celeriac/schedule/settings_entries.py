"""The entries of CELERY_BEAT_SCHEDULE and of `add_periodic_task`, as Celery's beat reads them."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from celery import Celery
from celery.schedules import BaseSchedule, crontab, maybe_schedule

from celeriac.broker import clock
from celeriac.models import CatchUp
from celeriac.schedule.entries import Entry, Unusable, check
from celeriac.schedule.times import Timing

CLEAN_UP = "celery.backend_cleanup"
_KNOWN = frozenset(
    {"name", "task", "schedule", "args", "kwargs", "options", "relative", "app", "catch_up", "grace"}
    # Of an entry that beat has kept.
    | {"last_run_at", "total_run_count"}
)


def entries(app: Celery) -> Iterator[Entry | Unusable]:
    """All of them, with the clean-up of results that beat adds too."""
    app.finalize()
    given = dict(app.conf.beat_schedule or {})
    if app.conf.result_expires and not app.backend.supports_autoexpire:
        given.setdefault(
            CLEAN_UP,
            {"task": CLEAN_UP, "schedule": crontab("0", "4", "*"), "options": {"expires": 12 * 3600}},
        )
    for name, fields in given.items():
        yield _entry(app, str(name), fields)


def _entry(app: Celery, name: str, given: Any) -> Entry | Unusable:
    if not isinstance(given, Mapping):
        return Unusable(name, "", f"it is no dict with a task and a schedule, but {given!r}")
    try:
        return _made(app, name, given)
    except Exception as error:  # noqa: BLE001 - of whatever a project has written there, one entry is lost
        return Unusable(name, str(given.get("task") or ""), str(error) or repr(error))


def _made(app: Celery, name: str, fields: Mapping[str, Any]) -> Entry:
    if unknown := sorted(set(fields) - _KNOWN):
        raise ValueError(f"it has the unknown key {unknown[0]!r}; known are {', '.join(sorted(_KNOWN))}")
    for key in ("task", "schedule"):
        if fields.get(key) is None:
            raise ValueError(f"it has no {key!r}")
    written = fields["schedule"]
    if not isinstance(written, int | float | timedelta | BaseSchedule):
        raise ValueError(f"its schedule {written!r} is no number of seconds, timedelta, crontab or solar")
    given = maybe_schedule(written, bool(fields.get("relative")), app=app)
    timing = Timing(given, _zone(app, given))
    check(name, str(fields["task"]), timing)
    return Entry(
        name,
        str(fields["task"]),
        timing,
        fields.get("args") or (),
        fields.get("kwargs") or {},
        fields.get("options") or {},
        catch_up=_catch_up(fields.get("catch_up", CatchUp.ONCE)),
        grace=_grace(app, given, fields.get("grace")),
    )


def _catch_up(given: Any) -> CatchUp:
    if given not in CatchUp.values:
        raise ValueError(f"its catch_up {given!r} is none of: {', '.join(CatchUp.values)}")
    return CatchUp(given)


def _zone(app: Celery, given: Any) -> Any:
    """The app's, or that of the entry's own clock, which is how Celery has one per entry."""
    now = getattr(given, "nowfun", None)
    own = getattr(now(), "tzinfo", None) if now is not None else None
    return own or app.timezone


def _grace(app: Celery, given: Any, grace: Any) -> int | None:
    if grace is None and isinstance(given, crontab):
        # Celery's own word for it.
        grace = app.conf.beat_cron_starting_deadline
    if grace is None:
        return None
    seconds = grace.total_seconds() if hasattr(grace, "total_seconds") else float(grace)
    if seconds <= 0:
        raise ValueError(f"its grace must be above 0 s, not {grace!r}")
    return clock.seconds(seconds)
