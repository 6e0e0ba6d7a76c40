"""Django's system checks: what would make tasks fail, said before they do."""

from sqlite3 import sqlite_version_info
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import get_commands
from django.db import connections

from celeriac.conf import options, urls_in
from celeriac.errors import WrongSetting

#: SQLite's fix of a race between a checkpoint and a writer, https://www.sqlite.org/wal.html#walresetbug
_SQLITE_WAL_FIXED = (3, 51, 3)


def register() -> None:
    """Add the checks to `manage.py check`."""
    checks.register(check_settings)
    checks.register(check_command)
    checks.register(check_sqlite)
    # Only with --deploy: Debian 12 has an affected version, and a laptop's risk is small.
    checks.register(check_sqlite_version, deploy=True)
    checks.register(check_content)
    checks.register(check_durable)


def check_settings(**_: Any) -> list[CheckMessage]:
    """E001: a key or value of CELERIAC is wrong."""
    try:
        options()
    except WrongSetting as error:
        return [checks.Error(str(error), id="celeriac.E001")]
    return []


def check_command(**_: Any) -> list[CheckMessage]:
    """W001: another app's `celery` command hides ours."""
    owner = get_commands().get("celery")
    name = owner if isinstance(owner, str) else getattr(owner, "__module__", str(owner))
    if name == "celeriac":
        return []
    return [
        checks.Warning(
            f"`manage.py celery` belongs to {name!r}, not to Celeriac.",
            hint=f"Put 'celeriac' before {name!r} in INSTALLED_APPS.",
            id="celeriac.W001",
        )
    ]


def check_sqlite(**_: Any) -> list[CheckMessage]:
    """W002: the web process may get "database is locked"."""
    alias = _sqlite_broker()
    if alias is None:
        return []
    given = connections[alias].settings_dict.get("OPTIONS", {})
    missing = []
    if str(given.get("transaction_mode", "")).upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        missing.append('"transaction_mode": "IMMEDIATE"')
    if float(given.get("timeout", 5)) < 20:
        missing.append('"timeout": 20')
    if not missing:
        return []
    return [
        checks.Warning(
            f"A web request may fail with 'database is locked' while a worker writes to database {alias!r}.",
            hint=f'DATABASES["{alias}"]["OPTIONS"] = {{{", ".join(missing)}}}',
            id="celeriac.W002",
        )
    ]


def check_sqlite_version(**_: Any) -> list[CheckMessage]:
    """W003: this version of SQLite has a defect that many processes can meet."""
    alias = _sqlite_broker()
    if alias is None:
        return []
    version = sqlite_version_info
    if version >= _SQLITE_WAL_FIXED:
        return []
    return [
        checks.Warning(
            f"SQLite {'.'.join(map(str, version))} has a rare defect in WAL mode when several processes "
            "write and checkpoint at once.",
            hint="Use SQLite 3.51.3 or newer for busy sites, or PostgreSQL.",
            id="celeriac.W003",
        )
    ]


def _sqlite_broker() -> str | None:
    """The alias of the broker, if that is SQLite."""
    from celeriac.app import get_app
    from celeriac.broker.address import alias_of

    try:
        alias = alias_of(get_app())
    except WrongSetting:
        return None
    if alias is None or alias not in connections:
        return None
    return alias if connections[alias].vendor == "sqlite" else None


def check_content(**_: Any) -> list[CheckMessage]:
    """E002: whoever can write a message could run code."""
    from celeriac.app import get_app

    try:
        conf = get_app().conf
    except WrongSetting:
        return []
    accepted = {str(item).lower() for item in [*conf.accept_content, *(conf.result_accept_content or ())]}
    unsafe = sorted(accepted & {"pickle", "application/x-python-serialize", "yaml", "application/x-yaml"})
    if not unsafe or not urls_in(conf.broker_read_url)[0].startswith("django://"):
        return []
    return [
        checks.Error(
            f"CELERY_ACCEPT_CONTENT allows {', '.join(unsafe)}: anyone who can write to the database "
            "could run code in the worker.",
            hint='Use CELERY_ACCEPT_CONTENT = ["json"].',
            id="celeriac.E002",
        )
    ]


def check_durable(**_: Any) -> list[CheckMessage]:
    """W004: RabbitMQ is told to keep tasks in memory only."""
    from celeriac.app import get_app

    try:
        conf = get_app().conf
    except WrongSetting:
        return []
    if not str(urls_in(conf.broker_write_url)[0]).startswith(("amqp", "pyamqp")):
        return []
    # Objects, or by their names as options.
    queues = conf.task_queues.items() if isinstance(conf.task_queues, dict) else ()
    fleeting = [name for name, given in queues if not given.get("durable", True)]
    fleeting += [each.name for each in conf.task_queues or () if not getattr(each, "durable", True)]
    faults = [f"the queue {name!r} is not durable" for name in fleeting]
    if conf.task_default_delivery_mode in {1, "transient"}:
        faults.append("CELERY_TASK_DEFAULT_DELIVERY_MODE is transient")
    return [
        checks.Warning(
            f"RabbitMQ forgets tasks when it is restarted: {fault}.",
            hint="Make queues durable and messages persistent, which are Celery's defaults.",
            id="celeriac.W004",
        )
        for fault in faults
    ]
