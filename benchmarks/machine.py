"""Where and when: machine, versions, date and load, without which a figure says nothing."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "celeriac",
    "Django",
    "celery",
    "kombu",
    "django-celery-results",
    "huey",
    "django-tasks-db",
    "django-ox",
    "procrastinate",
    "django-q2",
    "psycopg",
    "mysqlclient",
    "redis",
)
SERVERS = {
    "PostgreSQL": ("psql", "--version"),
    "MariaDB": ("mariadb", "--version"),
    "Redis": ("redis-server", "--version"),
    "RabbitMQ": ("rabbitmqctl", "--quiet", "version"),
}
LIMIT_SECONDS = 20


@dataclass(slots=True)
class Machine:
    """Of the beginning of a run; the load of its end is added."""

    date: str
    system: str
    processor: str
    cores: int
    memory_gb: float
    python: str
    packages: dict[str, str]
    servers: dict[str, str]
    load_before: list[float]
    load_after: list[float]


def look() -> Machine:
    """The machine as it is now."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        servers={name: found for name, command in SERVERS.items() if (found := _said(*command))},
        load_before=load(),
        load_after=[],
    )


def load() -> list[float]:
    """The load average of 1, 5 and 15 minutes."""
    return [round(each, 2) for each in os.getloadavg()]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _said(*command: str) -> str:
    """The first line of what a program on this machine says of itself; the server may be elsewhere."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    ended = subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    return ended.stdout.strip().partition("\n")[0]
