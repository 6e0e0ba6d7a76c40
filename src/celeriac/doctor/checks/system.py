"""What Celeriac's system checks find, with --deploy too; `manage.py check` says the same of them."""

from collections.abc import Iterator

from django.core.checks import CheckMessage

from celeriac import checks
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.errors import WrongSetting
from celeriac.worker import preflight

WRONG_SETTING = Kind(
    "wrong-setting",
    Level.ERROR,
    "a key or a value of CELERIAC is wrong (celeriac.E001)",
    "Whoever publishes a task or starts a worker is told so instead.",
    "Correct it.",
)
APP_NOT_FOUND = Kind(
    "app-not-found",
    Level.ERROR,
    "the project's Celery app cannot be used",
    "Tasks would belong to no app, and none is published.",
    "Correct CELERIAC['APP'], CELERY_BROKER_URL, CELERY_RESULT_BACKEND or the module that makes the app.",
)
COMMAND_HIDDEN = Kind(
    "command-hidden",
    Level.WARNING,
    "another app's `celery` command hides ours (celeriac.W001)",
    "`manage.py celery` does something else.",
    "Put 'celeriac' before it in INSTALLED_APPS.",
)
SQLITE_OPTIONS = Kind(
    "sqlite-options",
    Level.WARNING,
    "SQLite without transaction_mode IMMEDIATE or a timeout of 20 s (celeriac.W002)",
    "A transaction that begins with a read cannot wait for the writer before it: it fails at once.",
    "Set both in DATABASES.",
)
SQLITE_VERSION = Kind(
    "sqlite-version",
    Level.WARNING,
    "a version of SQLite with a defect in WAL mode (celeriac.W003)",
    "Rarely, several processes that write and checkpoint at once damage the file.",
    "Use SQLite 3.51.3 or newer, or PostgreSQL.",
    is_of_production=True,
)
UNSAFE_CONTENT = Kind(
    "unsafe-content",
    Level.ERROR,
    "pickle or YAML are accepted (celeriac.E002)",
    "Whoever can write a message can run code in the worker.",
    'CELERY_ACCEPT_CONTENT = ["json"]',
)
NOT_DURABLE = Kind(
    "not-durable",
    Level.WARNING,
    "RabbitMQ is told to keep tasks in memory alone (celeriac.W004)",
    "When RabbitMQ is restarted they are gone.",
    "Make queues durable and messages persistent, as Celery's defaults are.",
)
KINDS = (
    WRONG_SETTING,
    APP_NOT_FOUND,
    COMMAND_HIDDEN,
    SQLITE_OPTIONS,
    SQLITE_VERSION,
    UNSAFE_CONTENT,
    NOT_DURABLE,
)


def _settings(_: Patient) -> Iterator[Finding]:
    yield from _as_findings(WRONG_SETTING, checks.check_settings())


def _app(patient: Patient) -> Iterator[Finding]:
    if checks.check_settings():
        return
    try:
        preflight.broker_alias(patient.app)
        preflight.check_backend(patient.app)
    except WrongSetting as error:
        yield APP_NOT_FOUND.found(str(error))


def _others(_: Patient) -> Iterator[Finding]:
    yield from _as_findings(COMMAND_HIDDEN, checks.check_command())
    yield from _as_findings(SQLITE_OPTIONS, checks.check_sqlite())
    yield from _as_findings(SQLITE_VERSION, checks.check_sqlite_version())
    yield from _as_findings(UNSAFE_CONTENT, checks.check_content())
    yield from _as_findings(NOT_DURABLE, checks.check_durable())


def _as_findings(kind: Kind, messages: list[CheckMessage]) -> Iterator[Finding]:
    for message in messages:
        yield kind.found(str(message.msg), fix=message.hint)


CHECKS = (_settings, _app, _others)
