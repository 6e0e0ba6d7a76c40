"""What a plan needs to know of this project and of this machine."""

import getpass
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celery import Celery
from django.conf import settings
from django.db import connections

from celeriac import discovery
from celeriac.conf import urls_in
from celeriac.discovery.root import project_root
from celeriac.errors import CeleriacError
from celeriac.services import stop_time
from celeriac.services.plan import Plan, Worker
from celeriac.services.stop_time import Limits, StopTime

#: Without secrets, and without them nothing starts. Others are named by the user.
_TAKEN_ALONG = ("DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION", "PYTHONPATH")
_SKIP_CHECKS = "CELERY_SKIP_CHECKS"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
#: The units that Debian, Fedora and others have; one that does not exist is passed over.
_UNITS = {
    "postgresql": ("postgresql.service",),
    "mysql": ("mariadb.service", "mysql.service"),
    "redis": ("redis.service", "redis-server.service"),
    "amqp": ("rabbitmq-server.service",),
}
#: Of Celeriac's own, by what they are for.
_EXTRAS = ("postgresql", "mysql", "redis")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says; None and empty: what the project says."""

    name: str | None = None
    user: str | None = None
    #: One kind of worker for each.
    queues: Sequence[str] = ()
    concurrency: int | None = None
    instances: int = 1
    env: Sequence[str] = ()
    env_file: str | None = None
    stop_seconds: int | None = None
    logs: str | None = None
    more: Sequence[str] = ()
    #: What `more` says of them.
    limits: Limits = field(default_factory=Limits)


def plan_for(app: Celery, wishes: Wishes) -> Plan:
    """The plan for this project. Raises CeleriacError for what cannot be meant, or a task file's fault."""
    _import_tasks(app)
    program, directory = _program()
    project = _name_of_project(directory)
    name = _checked_name(wishes.name or f"{project}-worker")
    user = wishes.user or _user_of(directory)
    return Plan(
        name=name,
        project=project,
        python=Path(sys.executable).absolute(),
        program=program,
        directory=directory,
        user=user,
        workers=_workers(name, wishes),
        stop=_stop_time(app, wishes),
        environment=_environment(wishes.env),
        home=_home_of(user),
        env_file=Path(wishes.env_file).absolute() if wishes.env_file else None,
        logs=Path(wishes.logs).absolute() if wishes.logs else None,
        more=tuple(wishes.more),
        after=_servers(app),
        extras=tuple(kind for kind in _EXTRAS if kind in _kinds(app)),
        has_file=any(connections[alias].vendor == "sqlite" for alias in connections),
        remarks=_remarks(user),
        missing=tuple(_missing(wishes)),
    )


def _import_tasks(app: Celery) -> None:
    """All, for their time limits. Not with Django's checks, as Celery would: they ask databases."""
    discovery.discover()
    before = os.environ.get(_SKIP_CHECKS, "")
    os.environ[_SKIP_CHECKS] = "true"
    try:
        app.loader.import_default_modules()
    finally:
        os.environ[_SKIP_CHECKS] = before


def _stop_time(app: Celery, wishes: Wishes) -> StopTime:
    if wishes.stop_seconds is None:
        return stop_time.longest(app, wishes.limits)
    return stop_time.chosen(app, wishes.stop_seconds, wishes.limits)


def _program() -> tuple[tuple[str, ...], Path]:
    """The manage.py of this command line, else the project's, else Django itself in this directory."""
    called = Path(sys.argv[0] if sys.argv else "").absolute()
    root = project_root()
    for manage in (called, root / "manage.py" if root else called):
        if manage.name == "manage.py" and manage.is_file():
            return (str(manage),), manage.parent
    return ("-m", "django"), (root or Path.cwd()).absolute()


def _name_of_project(directory: Path) -> str:
    module = str(getattr(settings, "SETTINGS_MODULE", None) or "")
    top = module.partition(".")[0]
    # `settings` and `config` are what many projects call it.
    return _plain(directory.name if top in {"", "settings", "config", "conf"} else top) or "django"


def _plain(text: str) -> str:
    """What every format takes for a name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CeleriacError(f"--name {name!r}: letters, digits, '_', '.' and '-' make a name.")
    return name


def _workers(name: str, wishes: Wishes) -> tuple[Worker, ...]:
    for queues in wishes.queues:
        if not queues.strip(", "):
            raise CeleriacError(f"--queues {queues!r} names no queue. Without the option all are read.")
    if len(wishes.queues) < 2:
        queues = wishes.queues[0] if wishes.queues else ""
        return (Worker(name, queues, wishes.concurrency, wishes.instances),)
    labels = [_plain(queues) or "queue" for queues in wishes.queues]
    if len(set(labels)) < len(labels):
        raise CeleriacError("--queues: two workers have the same queues. For more of one kind: --instances.")
    kinds = zip(labels, wishes.queues, strict=True)
    return tuple(
        Worker(f"{name}-{label}", queues, wishes.concurrency, wishes.instances) for label, queues in kinds
    )


def _user_of(directory: Path) -> str:
    """Whoever asks; root asks for the owner of the project."""
    if not hasattr(os, "geteuid"):
        return getpass.getuser()
    import pwd  # Not on Windows.

    number = os.geteuid()
    try:
        # Not by the environment: behind `runuser -u web` it still names root.
        return pwd.getpwuid(number).pw_name if number else directory.owner()
    except KeyError:
        # In a container a number may have no name.
        return str(number) if number else "root"


def _home_of(user: str) -> Path | None:
    try:
        import pwd  # Not on Windows.

        return Path(pwd.getpwnam(user).pw_dir)
    except (ImportError, KeyError):
        return None  # The files may be for another machine.


def _environment(wanted: Sequence[str]) -> Mapping[str, str]:
    found = {"DJANGO_SETTINGS_MODULE": str(getattr(settings, "SETTINGS_MODULE", None) or "")}
    found |= {name: os.environ[name] for name in _TAKEN_ALONG if name in os.environ}
    found["PYTHONUNBUFFERED"] = "1"
    for each in wanted:
        name, has_value, value = each.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise CeleriacError(f"--env {each!r}: NAME, or NAME=VALUE.")
        if not has_value and name not in os.environ:
            raise CeleriacError(f"--env {name}: this environment has no such variable. Use {name}=VALUE.")
        found[name] = value if has_value else os.environ[name]
    return {name: value for name, value in found.items() if value}


def _servers(app: Celery) -> tuple[str, ...]:
    return tuple(dict.fromkeys(unit for kind in _kinds(app) for unit in _UNITS.get(kind, ())))


def _kinds(app: Celery) -> list[str]:
    """Of the databases, and of the broker."""
    # `rediss`, `amqps` and `pyamqp` are the same servers.
    schemes = [url.partition("://")[0] for url in urls_in(app.conf.broker_read_url)]
    brokers = [kind for kind in ("redis", "amqp") if any(kind in scheme for scheme in schemes)]
    return [connections[alias].vendor for alias in connections] + brokers


def _remarks(user: str) -> tuple[str, ...]:
    if user != "root":
        return ()
    return ("The worker would run as root, with every task in it. Name another user: --user NAME.",)


def _missing(wishes: Wishes) -> Iterator[str]:
    """Without any of these a service does not start."""
    if wishes.user and hasattr(os, "geteuid") and _home_of(wishes.user) is None:
        yield f"There is no user {wishes.user} on this host: without one the service does not start."
    if wishes.env_file and not Path(wishes.env_file).is_file():
        yield f"There is no file {wishes.env_file} on this host: without it the service does not start."
    if wishes.logs and not Path(wishes.logs).is_dir():
        yield f"There is no directory {wishes.logs} on this host: without it the service does not start."
