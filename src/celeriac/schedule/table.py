"""The entries of the table `Schedule`."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import schedule
from django.conf import settings
from django.db import router
from django.utils import timezone

from celeriac.broker import clock
from celeriac.models import Schedule
from celeriac.models.schedule_fields import as_crontab, as_solar
from celeriac.schedule.entries import Entry, Unusable, check
from celeriac.schedule.times import Timing


def alias() -> str:
    """The database of the table: the one that the project's admin writes to."""
    return router.db_for_write(Schedule)


def version() -> tuple[Any, ...]:
    """Another one when a row was saved, made or deleted; `QuerySet.update` alone does not show."""
    # Of each row: who saves it may have a clock that is behind, or commit after others have.
    return tuple(Schedule.objects.using(alias()).order_by("id").values_list("id", "changed_at"))


def rows() -> list[Schedule]:
    return list(Schedule.objects.using(alias()))


def entry(app: Celery, row: Schedule) -> Entry | Unusable:
    """What the scheduler does with the row; it may have been written past `save()`."""
    try:
        return _made(app, row)
    except Exception as error:  # noqa: BLE001 - of whatever stands there, one entry is lost
        return Unusable(row.name, row.task, str(error) or repr(error), is_from_table=True)


def disable(names: list[str]) -> None:
    """Of one-off entries that have fired."""
    Schedule.objects.using(alias()).filter(name__in=names, is_enabled=True).update(
        is_enabled=False, changed_at=timezone.now()
    )


def _made(app: Celery, row: Schedule) -> Entry:
    row.clean()
    zone = ZoneInfo(row.time_zone) if row.time_zone else app.timezone
    timing = Timing(_schedule(app, row), zone, _moment(row.at), _moment(row.starts_at), _moment(row.ends_at))
    check(row.name, row.task, timing)
    return Entry(
        row.name,
        row.task,
        timing,
        row.args,
        row.kwargs,
        {**row.options, **({"queue": row.queue} if row.queue else {})},
        is_from_table=True,
        is_one_off=row.is_one_off or row.at is not None,
        catch_up=row.catch_up,
        grace=None if row.grace_seconds is None else clock.seconds(row.grace_seconds),
    )


def _schedule(app: Celery, row: Schedule) -> Any:
    if row.cron:
        return as_crontab(row.cron, app=app)
    if row.solar:
        return as_solar(row.solar, app=app)
    return None if row.every is None else schedule(row.every, app=app)


def _moment(time: datetime | None) -> int | None:
    if time is None:
        return None
    if timezone.is_naive(time):
        time = timezone.make_aware(time) if settings.USE_TZ else time.astimezone()
    return clock.parse(time.astimezone(UTC))
