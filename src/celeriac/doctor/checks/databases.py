"""The databases: whether they are there, whole, and right for what they carry."""

from collections.abc import Iterator
from pathlib import Path

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django_celery_results.models import TaskResult

from celeriac.broker import caller, clock, runtime
from celeriac.broker.queries import clocks, servers
from celeriac.database import failures
from celeriac.doctor.finding import Finding, Kind, Level
from celeriac.doctor.patient import Patient
from celeriac.results.pending import results_alias

_APPS = frozenset({"celeriac", "django_celery_results"})
_SKEW_SECONDS = 5.0
_HUGE_ROWS = 1_000_000
#: A worker has its presence, its claims, its results, what it stores apart, and what listens.
_OF_A_WORKER = 5
_SQLITE_SLOTS = 16
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "vboxsf", "afs", "ceph", "glusterfs"})
_NETWORK_FUSE = ("fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.grpcfuse")

AWAY = Kind(
    "database-away",
    Level.ERROR,
    "a database does not answer",
    "Nothing is published, run or stored until it does.",
    "Start it, or correct DATABASES.",
)
MIGRATIONS = Kind(
    "migrations-missing",
    Level.ERROR,
    "tables are missing or old",
    "Whatever needs them fails: a task cannot be published, or a worker does not start.",
    "python manage.py migrate",
)
APART = Kind(
    "databases-apart",
    Level.WARNING,
    "messages and results are in two databases",
    "A task and its row are no longer written together: after a crash one may be there without the other.",
    "Let DATABASE_ROUTERS and CELERY_BROKER_URL name one database, or accept it.",
)
NOT_WAL = Kind(
    "sqlite-not-wal",
    Level.WARNING,
    "a SQLite file that is not in WAL mode",
    "Readers and the writer wait for each other; the file system did not let workers switch it.",
    "Put the file on a local disk of this host, or use PostgreSQL.",
)
ON_NETWORK = Kind(
    "sqlite-on-network",
    Level.ERROR,
    "a SQLite file on a network's file system",
    "Locks do not hold there: two workers may take one message, and the file may be damaged.",
    "Put the file on a local disk, or use PostgreSQL or MariaDB.",
)
TOO_MANY = Kind(
    "sqlite-crowded",
    Level.WARNING,
    "many workers on a SQLite file",
    "One process writes at a time: the others wait, and web requests with them.",
    "Use fewer processes, or PostgreSQL or MariaDB.",
)
HOSTS = Kind(
    "sqlite-several-hosts",
    Level.ERROR,
    "workers of several hosts on one SQLite file",
    "Neither locks nor WAL work between hosts.",
    "Use PostgreSQL or MariaDB.",
)
SKEW = Kind(
    "database-clock",
    Level.WARNING,
    "the clocks of this host and of the database differ",
    "A countdown is measured by both: tasks begin early or late by the difference.",
    "Let both follow a time server (chrony, systemd-timesyncd).",
)
CONNECTIONS = Kind(
    "connections-scarce",
    Level.WARNING,
    "the workers need nearly all connections of the server",
    "Web processes, or the next worker, are refused.",
    "Raise max_connections, lower --concurrency, or put a pooler between.",
)
HUGE = Kind(
    "results-huge",
    Level.WARNING,
    "more than a million results",
    "Lists, counts and the expiry of results take long, and backups too.",
    "A shorter CELERY_RESULT_EXPIRES, ignore_result for tasks whose result nobody reads; then "
    "python manage.py celery clean",
)
KINDS = (AWAY, MIGRATIONS, APART, NOT_WAL, ON_NETWORK, TOO_MANY, HOSTS, SKEW, CONNECTIONS, HUGE)


def _answers(patient: Patient) -> Iterator[Finding]:
    for alias in patient.aliases:
        try:
            connections[alias].ensure_connection()
        except DatabaseError as error:
            yield AWAY.found(f"The database {alias!r}: {failures.first_line(error)}")


def _tables(patient: Patient) -> Iterator[Finding]:
    for alias in patient.aliases:
        executor = MigrationExecutor(connections[alias])
        wanted = [node for node in executor.loader.graph.leaf_nodes() if node[0] in _APPS]
        missing = [f"{each.app_label} {each.name}" for each, _ in executor.migration_plan(wanted)]
        if missing:
            named = "" if alias == "default" else f" --database {alias}"
            yield MIGRATIONS.found(
                f"Not applied to {alias!r}: {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}.",
                fix=f"{MIGRATIONS.fix}{named}",
            )


def _apart(patient: Patient) -> Iterator[Finding]:
    if len(patient.aliases) > 1:
        messages, results = patient.aliases
        yield APART.found(f"Messages are in {messages!r}, results in {results!r}.")


def _sqlite(patient: Patient) -> Iterator[Finding]:
    for alias in patient.aliases:
        if (file := runtime.sqlite_file(alias)) is None:
            continue
        if kind := _network_of(file, patient.mounts):
            yield ON_NETWORK.found(f"{file} is on {kind}.")
        hosts = {worker.host for worker in patient.living}
        if len(hosts) > 1:
            yield HOSTS.found(f"{', '.join(sorted(hosts))} use {file}.")
        slots = sum(worker.concurrency for worker in patient.living)
        if slots > _SQLITE_SLOTS:
            yield TOO_MANY.found(f"{slots} processes run tasks on {file}.")
        # A worker switches the file when it starts.
        mode = caller.run(alias, lambda connection, _: servers.journal_mode(connection))
        if patient.living and alias == patient.broker_alias and mode != "wal":
            yield NOT_WAL.found(f"{file} is written in the mode {mode}.")


def _network_of(file: Path, mounts: Path) -> str | None:
    """The type of the network's file system on which the file is; None: it is local, or nobody tells."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return None
    found = [(point, kind) for _, point, kind, *_ in lines if file.is_relative_to(point)]
    # The longest place; of two that are mounted there, the later one.
    kind = max(reversed(found), key=lambda each: len(each[0]), default=("", ""))[1]
    return kind if kind in _NETWORK or kind in _NETWORK_FUSE else None


def _clock(patient: Patient) -> Iterator[Finding]:
    for alias in patient.aliases:
        ahead = caller.run(alias, clocks.ahead) / clock.MICROSECONDS
        if abs(ahead) > _SKEW_SECONDS:
            way = "ahead of" if ahead > 0 else "behind"
            yield SKEW.found(f"This host is {abs(ahead):.0f} s {way} the database {alias!r}.")


def _connections(patient: Patient) -> Iterator[Finding]:
    for alias in patient.aliases:
        most = caller.run(alias, lambda connection, _: servers.most_connections(connection))
        needed = sum(_OF_A_WORKER + worker.concurrency for worker in patient.living)
        if most is not None and needed > 0.8 * most:
            yield CONNECTIONS.found(f"The workers may need {needed} of the {most} connections to {alias!r}.")


def _size(patient: Patient) -> Iterator[Finding]:
    if not patient.has_results:
        return
    # Not counted: of so many nobody waits for the number.
    rows = TaskResult._default_manager.using(results_alias()).order_by("pk").values_list("pk", flat=True)
    if rows[_HUGE_ROWS : _HUGE_ROWS + 1].exists():
        yield HUGE.found(f"There are more than {_HUGE_ROWS:,} results.")


CHECKS = (_answers, _tables, _apart, _sqlite, _clock, _connections, _size)
