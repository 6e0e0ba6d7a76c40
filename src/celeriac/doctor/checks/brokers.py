"""RabbitMQ and Redis: whether they are there, closed to strangers, and keep what they are given."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from celeriac.broker import depths, server_settings
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.errors import Unreachable
from celeriac.models import TaskRecord
from celeriac.results.pending import results_alias

_NEWEST = 1000
_VISIBILITY_SECONDS = 3600.0

AWAY = Kind(
    "broker-away",
    Level.ERROR,
    "the broker does not answer",
    "No task is taken until it does, and without the outbox none is published.",
    "Start it, or correct CELERY_BROKER_URL.",
)
OPEN = Kind(
    "broker-open",
    Level.WARNING,
    "a broker on another host without a password",
    "Whoever reaches its port can read, delete and write tasks.",
    "Give it a user and a password: redis://:PASSWORD@host, amqp://USER:PASSWORD@host.",
    is_of_production=True,
)
VISIBILITY = Kind(
    "visibility-too-short",
    Level.ERROR,
    "Redis gives tasks away while they wait or run",
    "After its visibility_timeout Redis gives a message to another worker: the task runs twice at once.",
    "CELERY_BROKER_TRANSPORT_OPTIONS = {'visibility_timeout': …}, longer than any time limit and ETA.",
)
FORGETFUL = Kind(
    "redis-forgetful",
    Level.WARNING,
    "Redis deletes or forgets what waits",
    "Queues are keys: without a log, or with an eviction policy, tasks vanish.",
    "maxmemory-policy noeviction, appendonly yes: docs/brokers.md",
)
KINDS = (AWAY, OPEN, VISIBILITY, FORGETFUL)


def _answers(patient: Patient) -> Iterator[Finding]:
    if patient.broker_alias is None:
        try:
            depths.of(patient.app, [])
        except Unreachable as error:
            patient.away = error
            yield AWAY.found(str(error))


def _password(patient: Patient) -> Iterator[Finding]:
    if patient.broker_alias is not None:
        return
    found = urlsplit(patient.broker_url)
    if found.hostname is None or _is_here(found.hostname):
        return
    is_guest = (found.username, found.password) == ("guest", "guest")
    if not found.password or is_guest:
        lacks = "has the password that every RabbitMQ has" if is_guest else "has no password"
        yield OPEN.found(f"The broker on {found.hostname} {lacks}.")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _visibility(patient: Patient) -> Iterator[Finding]:
    if not patient.broker_url.startswith(("redis", "sentinel")):
        return
    given = patient.conf.broker_transport_options or {}
    seconds = float(given.get("visibility_timeout") or _VISIBILITY_SECONDS)
    limits = {name: patient.app.tasks[name].time_limit for name in patient.task_names}
    limits["CELERY_TASK_TIME_LIMIT"] = patient.conf.task_time_limit
    longest, name = max((float(limit or 0), name) for name, limit in limits.items())
    if longest > seconds:
        yield VISIBILITY.found(f"visibility_timeout is {seconds:.0f} s, and {name} may take {longest:.0f} s.")
    if late := _latest_eta(patient, seconds):
        yield VISIBILITY.found(f"visibility_timeout is {seconds:.0f} s, and {late} waits for a later time.")


def _latest_eta(patient: Patient, seconds: float) -> str | None:
    """The name of one of the newest tasks that waits longer in a worker."""
    if not patient.has_results:
        return None
    alias, late = results_alias(), timezone.now() + timedelta(seconds=seconds)
    newest = TaskRecord.objects.using(alias).order_by("-published_at")[:_NEWEST]
    names = {each.task_id: each.task_name for each in newest if each.eta is not None and each.eta > late}
    waiting = TaskResult._default_manager.using(alias).filter(
        task_id__in=list(names), status__in=[states.PENDING, states.RECEIVED]
    )
    return next((names[task_id] for task_id in waiting.values_list("task_id", flat=True)[:1]), None)


def _server(patient: Patient) -> Iterator[Finding]:
    if patient.broker_url.startswith("redis") and patient.away is None:
        for fault in server_settings.faults(patient.app):
            yield FORGETFUL.found(fault)


BY_SETTINGS = (_password,)
CHECKS = (_answers, *BY_SETTINGS, _visibility, _server)
