"""What must be right before a worker starts; each fault is one line that says what to do."""

from dataclasses import dataclass
from difflib import get_close_matches

from celery import Celery
from celery.app.backends import BACKEND_ALIASES
from celery.exceptions import ImproperlyConfigured
from django.db import DatabaseError, NotSupportedError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.broker import address, runtime
from celeriac.broker.queries import queries_for
from celeriac.broker.queries.sqlite import SqliteQueries
from celeriac.broker.session import BrokerSession
from celeriac.broker.transports import known_schemes
from celeriac.conf import options, urls_in
from celeriac.database import failures
from celeriac.errors import CeleriacError, TablesMissing, UnknownDatabase, UnsupportedDatabase, WrongSetting
from celeriac.models import lengths
from celeriac.results import retention
from celeriac.results.backend import DatabaseBackend
from celeriac.results.pending import results_alias

_BROKER_TABLE = "celeriac_message"
#: Of the newest migration: without it something could not be stored one day.
_NEWEST_TABLE = "celeriac_tasktotal"
_RESULT_TABLE = "django_celery_results_taskresult"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found, for the banner."""

    #: The database that carries the messages; None: RabbitMQ, Redis or another broker does.
    broker_alias: str | None
    #: The database with the results; None: another backend has them.
    results_alias: str | None
    switched_to_wal: bool
    #: The database whose outbox may have something to be sent.
    outbox_alias: str | None = None


def inspect(app: Celery) -> Preflight:
    """Check settings and databases, and switch a SQLite broker to WAL. Raises CeleriacError."""
    options()
    alias = broker_alias(app)
    check_backend(app)
    results = results_alias() if isinstance(app.backend, DatabaseBackend) else None
    if alias is not None:
        _check_database(alias, _BROKER_TABLE)
    if results is not None:
        retention.results_kept(app)
        _check_database(results, _RESULT_TABLE)
        _check_database(results, _NEWEST_TABLE)
    if options().outbox and alias is None:
        _check_database(results_alias(), _NEWEST_TABLE)
    # Also when the setting is off, for what is left of the time when it was on.
    outbox = results_alias() if options().outbox and alias is None else results
    return Preflight(alias, results, alias is not None and _use_wal(alias), outbox)


def check_names(app: Celery) -> None:
    """Raise NameRefused for a queue, as of `-Q`, that fits into no table."""
    for queue in app.amqp.queues.consume_from:
        lengths.check("queue", queue)


def broker_alias(app: Celery) -> str | None:
    """The database that carries the messages, if one does. Raises WrongSetting for an unusable URL."""
    for url in [*urls_in(app.conf.broker_read_url), *urls_in(app.conf.broker_write_url)]:
        _check_url(url)
    return address.alias_of(app)


def check_backend(app: Celery) -> None:
    """Raise WrongSetting for a CELERY_RESULT_BACKEND that Celery cannot make."""
    try:
        assert app.backend is not None
    except (ImportError, AttributeError, ImproperlyConfigured) as error:
        # Of a URL nothing more: a password may be in it.
        kind, is_url, _ = str(app.conf.result_backend).partition("://")
        near = get_close_matches(kind, [*BACKEND_ALIASES, "django-db", "django-cache"], n=1)
        is_slip = bool(near) and near[0] != kind
        hint = f"Did you mean {near[0]!r}?" if is_slip else "Leave it out for the project's database."
        why = failures.first_line(error).rstrip(".")
        raise WrongSetting(
            f"CELERY_RESULT_BACKEND '{kind}{is_url and '://…'}' cannot be used: {why}. {hint}"
        ) from error


def _check_url(url: str) -> None:
    scheme = url.partition("://")[0].partition("+")[0]
    # With a dot it is the path of a transport class.
    if "://" in url and "." not in scheme and scheme not in known_schemes():
        raise WrongSetting(
            f"CELERY_BROKER_URL has the unknown scheme {scheme!r}. Use django://, amqp://, redis:// or "
            "another of kombu's, or leave it out for the project's database."
        )
    alias = address.alias_in(url)
    if alias is not None and alias not in connections:
        known = ", ".join(sorted(connections))
        raise UnknownDatabase(
            f"CELERY_BROKER_URL names the database {alias!r}, but DATABASES has only: {known}."
        )


def _check_database(alias: str, table: str) -> None:
    connection = connections[alias]
    try:
        connection.ensure_connection()
        fault = queries_for(connection).check_version(connection)
        tables = connection.introspection.table_names()
    except NotSupportedError as error:
        raise UnsupportedDatabase(f"Database {alias!r} is too old for this Django: {error}") from error
    except DatabaseError as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CeleriacError(
            f"Database {alias!r} cannot be reached: {first_line}. Start it, or correct DATABASES."
        ) from error
    if fault:
        raise UnsupportedDatabase(fault)
    if table not in tables:
        raise TablesMissing(_missing(alias, table))


def _missing(alias: str, table: str) -> str:
    if table != _RESULT_TABLE:
        return failures.tables_missing(alias)
    return f"django-celery-results' tables are not in database {alias!r}. {failures.migrate(alias)}"


def _use_wal(alias: str) -> bool:
    if runtime.sqlite_file(alias) is None:
        return False
    session = BrokerSession(alias)
    try:
        return session.run(_to_wal, atomic=False)
    finally:
        session.close()


def _to_wal(connection: BaseDatabaseWrapper, queries: object) -> bool:
    assert isinstance(queries, SqliteQueries)
    return queries.use_wal(connection)
