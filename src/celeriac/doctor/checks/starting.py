"""What the platform and the versions do to a worker that starts here."""

from collections.abc import Iterator

from django.db import connections

from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.worker import platform as pools

_NATIVE_SPAWN, _SPAWNING_BILLIARD = (5, 7), (4, 3)
#: A spawned process imports the whole project before it is up.
_LEAST_ALIVE_SECONDS = 30.0
_MANY_AT_ONCE = frozenset({"threads", "gevent", "eventlet"})

PREFORK_ON_WINDOWS = Kind(
    "prefork-on-windows",
    Level.WARNING,
    "the pool prefork on Windows",
    "Celery does not support it there: no soft time limits, and each process imports the project.",
    'Remove CELERY_WORKER_POOL, which leaves the pool to us, or set it to "threads".',
)
FORK_ON_MACOS = Kind(
    "fork-on-macos",
    Level.ERROR,
    "processes of the pool are forked on macOS",
    "The system ends a forked process that uses one of its frameworks (celery#7324).",
    'Remove CELERY_WORKER_POOL_START_METHOD = "fork".',
)
BAD_VERSIONS = Kind(
    "bad-versions",
    Level.WARNING,
    "Celery before 5.7 with a billiard that spawns",
    "In a spawned pool that `celery -A` starts every task fails: not enough values to unpack (celery#10683).",
    "pip install -U 'celery>=5.7'; until then start workers with manage.py celery, which works around it.",
)
ALIVE_TIMEOUT = Kind(
    "alive-timeout",
    Level.WARNING,
    "spawned processes have too little time to begin",
    "A process that has not imported the project by then is killed, and so is the next (celery#1715).",
    "CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60",
)
ROOT = Kind(
    "root",
    Level.WARNING,
    "this is the user root",
    "A fault in a task or a library then has the whole host.",
    "Run workers as a user of their own.",
    is_of_production=True,
)
KEPT_CONNECTIONS = Kind(
    "kept-connections",
    Level.WARNING,
    "threads that keep their database connections",
    "Each thread or greenlet holds one of its own until it is too old, and a server has a hundred.",
    "CONN_MAX_AGE = 0 for the workers, or a connection pool: OPTIONS = {'pool': True} on PostgreSQL.",
)
KINDS = (PREFORK_ON_WINDOWS, FORK_ON_MACOS, BAD_VERSIONS, ALIVE_TIMEOUT, ROOT, KEPT_CONNECTIONS)


def _pool(patient: Patient) -> Iterator[Finding]:
    is_prefork = patient.pool in {"prefork", "processes"}
    if patient.platform == "win32" and is_prefork:
        yield PREFORK_ON_WINDOWS.found("CELERY_WORKER_POOL is prefork on Windows.")
    if patient.platform == "darwin" and is_prefork and patient.start_method == "fork":
        yield FORK_ON_MACOS.found("CELERY_WORKER_POOL_START_METHOD is fork on macOS.")


def _spawning(patient: Patient) -> Iterator[Finding]:
    is_spawned = patient.start_method == "spawn" or patient.platform in {"darwin", "win32"}
    if not is_spawned or patient.pool not in {"prefork", "processes"}:
        return
    celery, billiard = patient.version("celery"), patient.version("billiard")
    if celery[:2] < _NATIVE_SPAWN and billiard[:2] >= _SPAWNING_BILLIARD:
        versions = f"Celery {_dotted(celery)} with billiard {_dotted(billiard)}"
        yield BAD_VERSIONS.found(f"{versions}, and a pool whose processes are spawned.")
    chosen = pools.chosen_in_settings(patient.app, "worker_proc_alive_timeout")
    if chosen and float(chosen) < _LEAST_ALIVE_SECONDS:
        yield ALIVE_TIMEOUT.found(
            f"CELERY_WORKER_PROC_ALIVE_TIMEOUT is {chosen} s, and processes are spawned."
        )


def _user(patient: Patient) -> Iterator[Finding]:
    if patient.is_root:
        yield ROOT.found("This command runs as root.")


def _connections(patient: Patient) -> Iterator[Finding]:
    used = {patient.pool, *(worker.pool for worker in patient.living)} & _MANY_AT_ONCE
    for alias in patient.aliases:
        age = connections[alias].settings_dict["CONN_MAX_AGE"]
        if used and age != 0:
            kept = "for ever" if age is None else f"for {age} s"
            yield KEPT_CONNECTIONS.found(f"The pool {min(used)} keeps connections to {alias!r} {kept}.")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


BY_SETTINGS = (_pool, _spawning)
CHECKS = (*BY_SETTINGS, _user, _connections)
