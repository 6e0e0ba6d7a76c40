"""How fast tasks come and go, and how many fail: of the last hour, from their rows."""

from dataclasses import dataclass
from datetime import timedelta

from celery import states
from django.db.models import Count
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.models import TaskRecord
from celeriac.results.pending import results_alias

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
#: The last so many runs tell how long one takes.
_NEWEST = 1000


@dataclass(frozen=True, slots=True)
class Pace:
    """Of the last hour, but for the two rates, which are of the last minute."""

    succeeded: int
    failed: int
    published_per_second: float
    ended_per_second: float
    #: So long 95 of 100 of the newest runs took at the most; None: none ended.
    run_seconds_p95: float | None


def pace() -> Pace:
    """Four indexed statements. For results in a database alone. Raises the database's errors."""
    alias, now = results_alias(), timezone.now()
    results = TaskResult._default_manager.using(alias).order_by()
    records = TaskRecord.objects.using(alias)
    ended = dict(
        results.filter(date_done__gt=now - _HOUR, status__in=states.READY_STATES)
        .values_list("status")
        .annotate(number=Count("pk"))
    )
    lately = results.filter(date_done__gt=now - _MINUTE, status__in=states.READY_STATES).count()
    published = records.filter(published_at__gt=now - _MINUTE).count()
    newest = records.filter(published_at__gt=now - _HOUR).order_by("-published_at")
    times = newest.values_list("started_at", "finished_at")[:_NEWEST]
    runs = sorted((end - begin).total_seconds() for begin, end in times if begin and end)
    return Pace(
        succeeded=ended.get(states.SUCCESS, 0),
        failed=ended.get(states.FAILURE, 0),
        published_per_second=published / _MINUTE.seconds,
        ended_per_second=lately / _MINUTE.seconds,
        run_seconds_p95=runs[int(0.95 * (len(runs) - 1))] if runs else None,
    )
