"""Settings of Celery and Django that lose, hide or delay tasks."""

from collections.abc import Iterator
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celery.app import defaults
from django.conf import settings

from celeriac.broker.explaining import check_serializer
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.errors import CeleriacError

ALWAYS_EAGER = Kind(
    "always-eager",
    Level.ERROR,
    "tasks run in the caller's process",
    "delay() waits for the task, nothing is stored, and no worker has a part in it.",
    "Remove CELERY_TASK_ALWAYS_EAGER; set it in the settings of the tests alone.",
)
DEBUG = Kind(
    "debug",
    Level.WARNING,
    "DEBUG is on",
    "Django remembers every query, so that the memory of a worker grows, and errors show settings.",
    "DEBUG = False",
    is_of_production=True,
)
NOT_TRACKED = Kind(
    "started-not-tracked",
    Level.WARNING,
    "the state STARTED is not stored",
    "Nobody can see what runs; deliveries to RabbitMQ and Redis are not counted, so that a task that kills "
    "its worker is tried for ever.",
    "Remove CELERY_TASK_TRACK_STARTED = False.",
)
NOT_EXTENDED = Kind(
    "results-not-extended",
    Level.WARNING,
    "results are stored without name, arguments and queue",
    "A failed task cannot be told from another, nor found by its arguments.",
    "Remove CELERY_RESULT_EXTENDED = False.",
)
KEPT_FOR_EVER = Kind(
    "results-kept-for-ever",
    Level.WARNING,
    "results never expire",
    "The tables grow without a limit, and every query of them with that.",
    "Remove CELERY_RESULT_EXPIRES = None, or set days: CELERY_RESULT_EXPIRES = timedelta(days=30)",
)
NO_TIME_LIMIT = Kind(
    "no-time-limit",
    Level.WARNING,
    "tasks may run for ever",
    "One that hangs holds its process until somebody looks.",
    "CELERY_TASK_TIME_LIMIT = 1800, and time_limit of a task where it needs longer.",
    is_of_production=True,
)
TIME_ZONES = Kind(
    "time-zones-differ",
    Level.WARNING,
    "Celery and Django have two time zones",
    "A crontab of beat fires at another hour than the pages of the project show.",
    "Remove CELERY_TIMEZONE: Celery then has TIME_ZONE.",
)
NAIVE_TIMES = Kind(
    "naive-times",
    Level.WARNING,
    "USE_TZ is off",
    "Times in the results are those of the host; when clocks go back, an hour happens twice.",
    "USE_TZ = True",
    is_of_production=True,
)
UNKNOWN = Kind(
    "setting-unknown",
    Level.WARNING,
    "a setting that Celery does not know, and is nearly one",
    "Celery passes it over without a word, and does what it would do without.",
    "Correct its name; one of the project's own should not begin so.",
)
NOT_ACCEPTED = Kind(
    "serializer-not-accepted",
    Level.ERROR,
    "messages are sent as no worker reads them",
    "Each becomes a dead letter, and workers do not hear of remote control.",
    'Remove CELERY_TASK_SERIALIZER, or set it to "json".',
)
UNKNOWN_ZONE = Kind(
    "time-zone-unknown",
    Level.ERROR,
    "CELERY_TIMEZONE is no time zone",
    "No worker that has a schedule fires anything by it.",
    "Remove CELERY_TIMEZONE: Celery then has TIME_ZONE.",
)
#: How like a name must be: a project has settings of its own that begin so.
_LIKE = 0.88
KINDS = (
    ALWAYS_EAGER,
    DEBUG,
    NOT_TRACKED,
    NOT_EXTENDED,
    KEPT_FOR_EVER,
    NO_TIME_LIMIT,
    TIME_ZONES,
    NAIVE_TIMES,
    UNKNOWN,
    NOT_ACCEPTED,
    UNKNOWN_ZONE,
)


def _switches(patient: Patient) -> Iterator[Finding]:
    conf = patient.conf
    if conf.task_always_eager:
        yield ALWAYS_EAGER.found("CELERY_TASK_ALWAYS_EAGER is on: no task goes to a worker.")
    if settings.DEBUG:
        yield DEBUG.found("DEBUG is on.")
    if not conf.task_track_started:
        yield NOT_TRACKED.found("CELERY_TASK_TRACK_STARTED is off.")
    if patient.has_results and not conf.result_extended:
        yield NOT_EXTENDED.found("CELERY_RESULT_EXTENDED is off.")
    if patient.has_results and not conf.result_expires:
        yield KEPT_FOR_EVER.found(f"CELERY_RESULT_EXPIRES is {conf.result_expires!r}.")


def _time_limits(patient: Patient) -> Iterator[Finding]:
    if patient.conf.task_time_limit:
        return
    without = [name for name in patient.task_names if not patient.app.tasks[name].time_limit]
    if without:
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        yield NO_TIME_LIMIT.found(f"No time limit holds for {', '.join(without[:3])}{more}.")


def _times(patient: Patient) -> Iterator[Finding]:
    zone = patient.conf.get("timezone")
    if zone and not _is_zone(str(zone)):
        yield UNKNOWN_ZONE.found(f"CELERY_TIMEZONE is {str(zone)!r}.")
    elif zone and str(zone) != settings.TIME_ZONE:
        yield TIME_ZONES.found(f"CELERY_TIMEZONE is {zone}, and TIME_ZONE is {settings.TIME_ZONE}.")
    if not settings.USE_TZ:
        yield NAIVE_TIMES.found("USE_TZ is off.")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _serializers(patient: Patient) -> Iterator[Finding]:
    try:
        check_serializer(patient.app, patient.conf.task_serializer)
    except CeleriacError as error:
        yield NOT_ACCEPTED.found(f"CELERY_TASK_SERIALIZER is {patient.conf.task_serializer!r}. {error}")


def _names(patient: Patient) -> Iterator[Finding]:
    prefix = f"{patient.app.namespace or 'CELERY'}_"
    given = {name for name in dir(settings) if name.startswith(prefix)}
    known = {f"{prefix}{name.upper()}" for name in defaults.SETTING_KEYS}
    # Celery reads the names that it had before version 4, too.
    for name in sorted(given - known - set(defaults._OLD_SETTING_KEYS)):
        right = get_close_matches(name, known, n=1, cutoff=_LIKE)
        if right and right[0] not in given:
            yield UNKNOWN.found(f"{name} is no setting of Celery's.", fix=f"{right[0]}, if that is meant.")


BY_SETTINGS = (_switches, _times, _serializers, _names)
CHECKS = (*BY_SETTINGS, _time_limits)
